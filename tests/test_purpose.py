"""The purpose file: what is read, what is refused and where, and edits that keep the author's comments."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from telic import steering
from telic.errors import ConfigError, JudgeError
from telic.games import base as games
from telic.judges import build_judge
from telic.purpose import Probe, Purpose, SamplingDefaults, update_file
from telic.purpose_templates import PurposeTemplate
from telic.toml_edit import dump, edit, to_toml_types
from telic.toml_source import KeyPath, parse

GOOD = """\
name = "travel"
system = "You are Mia."

[[probes]]
ask = "What is your name?"
judge = { contains = "Mia" }
"""


MISPLACED = "unknown key here; it belongs to the whole file: write it before the first [table]"


def refused(text: str) -> list[str]:
    """The lines of the error, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        Purpose.from_text(text, "travel.toml")
    lines = str(caught.value).split("\n")
    assert all(line.startswith("travel.toml, line ") for line in lines)
    return [line.removeprefix("travel.toml, ") for line in lines]


def test_a_minimal_purpose_has_defaults() -> None:
    purpose = Purpose.from_text(GOOD)
    assert (purpose.model, purpose.rules, purpose.controls, purpose.game) == ("smollm2", [], [], None)
    assert purpose.probes == [Probe(ask="What is your name?", judge={"contains": "Mia"})]
    assert (purpose.probes[0].name, purpose.probes[0].family) == ("What is your name?", "own")
    assert purpose.sampling.options() == {}


def test_rules_are_appended_to_the_system_prompt() -> None:
    purpose = Purpose(name="x", system="You are Mia.", rules=["Be kind.", "Be brief."])
    assert purpose.system_prompt == "You are Mia.\nBe kind.\nBe brief."
    assert Purpose(name="x", system="You are Mia.").system_prompt == "You are Mia."


def test_sampling_gives_only_what_is_set() -> None:
    assert Purpose.from_text(GOOD + '[sampling]\ntop_k = 5\nstop = ["\\\\n"]\n').sampling.options() == {
        "top_k": 5,
        "stop": ("\\n",),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = Mia\n", "line 1: not valid TOML: invalid value; a text needs quotation marks. Found: name = Mia"),
        ('name = "x"\nsystem = "y\n', "line 2: not valid TOML: illegal character '\\n'. Found: system = \"y"),
        (
            'name = "x"\nname = "y"\nsystem = "z"\n',
            'line 2: not valid TOML: cannot overwrite a value. Found: name = "y"',
        ),
        (
            'name = "x"\nsystem = """\nYou are\n\n',
            "line 3: not valid TOML: unterminated string before the end of the file; look for a quotation mark or a "
            "bracket that is not closed. Found: You are",
        ),
        (
            'name = "x"\n[probes]\nask = "a"\n[probes]\nask = "b"\n',
            "line 4: not valid TOML: cannot declare ('probes',) twice; where a table is repeated, each is written "
            "[[probes]]. Found: [probes]",
        ),
    ],
)
def test_broken_toml_is_quoted_with_its_line(text: str, expected: str) -> None:
    assert refused(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD.replace("name =", "nmae =", 1), "line 1: nmae: unknown key; did you mean 'name'?"),
        (GOOD.replace('name = "travel"\n', ""), "line 1: name: missing; expected a text in quotation marks"),
        (GOOD.replace('"You are Mia."', '"  "'), "line 2: system: found an empty text, expected some words"),
        (
            GOOD.replace('"You are Mia."', "42"),
            "line 2: system: found 42 (a whole number), expected a text in quotation marks",
        ),
        ('rules = "Be kind."\n' + GOOD, "line 1: rules: found 'Be kind.' (a text), expected a list"),
        (
            'rules = [\n  "a",\n  # why\n  true,\n]\n' + GOOD,
            "line 4: rules[1]: found true (a boolean), expected a text in quotation marks",
        ),
        (GOOD.replace("judge", "jugde"), "line 6: probes[0].jugde: unknown key; did you mean 'judge'?"),
        (
            GOOD + '\n[[probes]]\nask = "And?"\n',
            'line 8: probes[1].judge: missing; expected a judge such as { contains = "Mia" }',
        ),
        (
            GOOD + '\n[[probes]]\nask = "And?"\njudge = "contains"\n',
            "line 10: probes[1].judge: found 'contains' (a text), expected a judge such as { contains = \"Mia\" }",
        ),
        (
            GOOD.replace('{ contains = "Mia" }', "{}"),
            'line 6: probes[0].judge: found an empty table, expected a judge such as { contains = "Mia" }',
        ),
        (
            GOOD + '[[probes]]\nask = "Again?"\nname = "What is your name?"\njudge.contains = "x"\n',
            "line 9: probes[1].name: 'What is your name?' is also the name of probes[0]; give each probe its own name",
        ),
        (
            GOOD.replace("[[probes]]", "[probes]"),
            "line 4: probes: found a table, expected a list of tables: [[probes]]",
        ),
        (
            'probes = [{ask = "a", judge = {x = 1}},\n\n  {ask = "b", judge = 3}]\nname = "n"\nsystem = "s"\n',
            'line 3: probes[1].judge: found 3 (a whole number), expected a judge such as { contains = "Mia" }',
        ),
        (
            GOOD + "[sampling]\ntemperature = -1\n",
            "line 8: sampling.temperature: found -1 (a whole number), expected a number greater than or equal to 0",
        ),
        (
            GOOD + "[sampling]\ntemperature = inf\n",
            "line 8: sampling.temperature: found inf (a number), expected a finite number",
        ),
        (GOOD + "sampling.top_q = 1\n", "line 7: probes[0].sampling: " + MISPLACED),
        ("sampling.top_q = 1\n" + GOOD, "line 1: sampling.top_q: unknown key; did you mean 'top_p'?"),
        (GOOD + "[game]\nrounds = 3\n", 'line 7: game: found no name, expected one such as name = "attention_hold"'),
        (
            GOOD + "[[controls]]\nname = 'a'\n[[controls]]\nname = 3\n",
            'line 9: controls[1]: found name = 3, expected one such as name = "attention_hold"',
        ),
        (GOOD + 'rules = ["Be kind."]\n', "line 7: probes[0].rules: " + MISPLACED),
        (
            '[[probes]]\nask = "a"\njudge = {x = 1}\n"system" = "s"\n[game]\nname = "g"\n',
            "line 4: probes[0].system: " + MISPLACED,
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, expected: str) -> None:
    assert expected in refused(text)


def test_all_errors_are_reported_at_once_in_the_order_of_the_file() -> None:
    lines = refused('name = 1\nsytem = "x"\nrules = 2\n[[probes]]\nask = ""\njudge = {}\n[planner]\n[extra]\n')
    assert [line.split(":")[:2] for line in lines] == [
        ["line 1", " name"],
        ["line 2", " sytem"],
        ["line 3", " rules"],
        ["line 5", " probes[0].ask"],
        ["line 6", " probes[0].judge"],
        ["line 8", " extra"],
    ]


def test_a_misspelt_key_is_not_also_reported_as_missing() -> None:
    assert refused(GOOD.replace("system", "sistem")) == ["line 2: sistem: unknown key; did you mean 'system'?"]


def test_check_reports_every_bad_judge_with_its_line() -> None:
    def check(spec: dict[str, Any]) -> None:
        if "contains" not in spec:
            raise JudgeError(f"no judge {next(iter(spec))!r}")

    text = GOOD + '[[probes]]\nask = "a"\njudge = { contians = "x" }\n[[probes]]\nask = "b"\njudge.regex = "("\n'
    purpose = Purpose.from_text(text, "travel.toml")
    with pytest.raises(ConfigError) as caught:
        purpose.check(check)
    assert str(caught.value).split("\n") == [
        "travel.toml, line 9: probes[1].judge: no judge 'contians'",
        "travel.toml, line 12: probes[2].judge: no judge 'regex'",
    ]
    with pytest.raises(ConfigError, match=r"^probes\[0\]\.judge: no judge 'x'$"):
        Purpose(name="n", system="s", probes=[Probe(ask="a", judge={"x": 1})]).check(check)


def test_a_missing_file_is_named_with_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "travel.toml").write_text(GOOD)
    with pytest.raises(ConfigError, match=r"does not exist; did you mean '.*travel\.toml'\?"):
        Purpose.from_file(tmp_path / "travle.toml")
    with pytest.raises(ConfigError, match=r"does not exist\. Write one with: telic new "):
        Purpose.from_file(tmp_path / "none" / "such.toml")
    with pytest.raises(ConfigError, match="cannot read the purpose file"):
        Purpose.from_file(tmp_path)


def test_a_file_that_is_not_utf8_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "travel.toml"
    path.write_bytes(GOOD.replace("Mia.", "Mi\u00e4.").encode("latin-1"))
    with pytest.raises(ConfigError, match=r"line 2: found the byte 0xe4, which is not UTF-8"):
        Purpose.from_file(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_files_of_every_editor_are_read(tmp_path: Path, encoding: str, newline: str) -> None:
    path = tmp_path / "travel.toml"
    path.write_text(GOOD, encoding=encoding, newline=newline)
    assert Purpose.from_file(path) == Purpose.from_text(GOOD)


def test_the_bundled_purposes_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    demo = Purpose.load("demo")
    assert "Gull Island" in demo.system_prompt
    assert len(demo.probes) >= 2
    for purpose in (demo, Purpose.from_text(PurposeTemplate.load().text("my-agent"))):
        purpose.check(build_judge)
    assert Purpose.from_text(PurposeTemplate.load().text('an "odd" name\\')).name == 'an "odd" name\\'
    (tmp_path / "demo").write_text(GOOD)
    assert Purpose.load("demo").name == "travel", "a file of that name comes first"


def test_the_commented_examples_of_the_template_are_valid() -> None:
    text = re.sub(r"^# (?=\[|\w+ = )", "", PurposeTemplate.load().text("my-agent"), flags=re.MULTILINE)
    purpose = Purpose.from_text(text)
    unset = Purpose.model_fields.keys() - purpose.model_fields_set
    assert unset == {"vllm"}, "the template has an example of every field that fits its model"
    assert purpose.game is not None
    assert games.build_game(purpose.game).name == purpose.game["name"]
    assert [steering.build_control(spec).name for spec in purpose.controls] == [
        spec["name"] for spec in purpose.controls
    ]


# Text whose encodings differ between TOML libraries is of no interest here.
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1).filter(str.strip)
any_text = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False), any_text),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
tables = st.dictionaries(any_text, values, max_size=4)


@settings(deadline=None)
@given(
    st.builds(
        Purpose,
        name=words,
        system=words,
        rules=st.lists(words, max_size=3),
        probes=st.lists(
            st.builds(Probe, ask=words, judge=tables.filter(bool), family=words), max_size=3, unique_by=lambda p: p.name
        ),
        partner=st.none() | words,
        game=st.none() | tables.map(lambda table: {**table, "name": "g"}),
        controls=st.lists(tables.map(lambda table: {**table, "name": "c"}), max_size=2),
        sampling=st.builds(SamplingDefaults, temperature=st.none() | st.floats(0, 5)),
    )
)
def test_a_purpose_survives_being_written(purpose: Purpose) -> None:
    assert Purpose.from_text(purpose.to_toml()) == purpose


def paths(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    if isinstance(value, dict):
        return [path, *(found for key, item in value.items() for found in paths(item, (*path, key)))]
    if isinstance(value, list):
        return [path, *(found for index, item in enumerate(value) for found in paths(item, (*path, index)))]
    return [path]


@settings(deadline=None)
@given(tables, st.integers(0, 3))
def test_every_value_has_a_line_and_keys_stand_on_it(table: dict[str, Any], depth: int) -> None:
    text = dump(table, depth)
    document, source = parse(text, "x.toml")
    assert document == to_toml_types(table)
    rows = text.split("\n")
    for path in paths(document):
        assert path in source.lines
        key = next((part for part in reversed(path) if isinstance(part, str)), None)
        if key is not None:
            assert tomlkit.key(key).as_string() in rows[source.lines[path] - 1]


COMMENTED = """\
# Mia's purpose
name = "travel"   # short
rules = [
  "a", # the first
]
system = "s"

# What we ask
[[probes]]
ask = "q" # really
judge = { x = 1 }

# What holds it
[[controls]]
name = "attention_hold" # default
scale = 3
[controls.more]
x = 1

# What success is:
# a trip
[game]
name = "g"

[[controls]]
name = "second"

# the end
"""


def test_replacing_the_controls_keeps_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "travel.toml"
    path.write_text(COMMENTED)
    purpose = update_file(path, {"controls": [{"name": "split", "exponent": 0.5}]})
    assert purpose == Purpose.from_file(path)
    assert purpose.controls == [{"name": "split", "exponent": 0.5}]
    old = COMMENTED[COMMENTED.index("[[controls]]") : COMMENTED.index("\n\n# What success")]
    expected = COMMENTED.replace(old, '[[controls]]\nname = "split"\nexponent = 0.5')
    assert path.read_text() == expected.replace('[[controls]]\nname = "second"\n\n', "")
    assert list(tmp_path.iterdir()) == [path], "no draft is left behind"


def test_edits_of_every_kind_keep_comments() -> None:
    text = edit(COMMENTED, {"rules": ["b", "c"], "partner": "p", "planner": {"path": "x"}, "controls": []})
    assert (
        '# Mia\'s purpose\nname = "travel"   # short\nrules = ["b", "c"]\nsystem = "s"\npartner = "p"\n\n# What we ask'
        in text
    )
    assert "# What success is:\n# a trip\n[game]" in text
    assert text.endswith('# the end\n\n[planner]\npath = "x"\n')
    assert "controls" not in tomllib.loads(text)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ('controls = [{name = "a"}] # c\nname = "n"\n', {"controls": [{"name": "b"}]}),
        ('game.name = "a"\ngame.turns = 2\nname = "n"', {"game": {"name": "b"}}),
        ("[a]\nx = 1\n[a.b]\ny = 2\n[c]\n", {"a": None, "z": 5}),
        ("x = 1  # why\r\ny = 2\r\n", {"x": [1, 2], "w": "a\nb"}),
        ('x = """\n[a]\n""" # = \ny = [ # ]\n "]", \'#\' ]\n', {"x": 2, "new": {"k": [{"l": {}}]}}),
        ("", {"x": 1}),
        ("# only\n[t]", {"x": 1}),
    ],
)
def test_odd_layouts_are_edited_right(text: str, changes: dict[str, Any]) -> None:
    before, after = tomllib.loads(text), tomllib.loads(edit(text, changes))
    assert after == {key: value for key, value in {**before, **changes}.items() if value is not None}
    for comment in ("# c", "# why", "# only", "# = "):
        assert (comment in text) == (comment in edit(text, changes)) or "controls" in changes


@settings(deadline=None)
@given(tables, st.integers(0, 2), tables)
def test_any_change_of_any_document_can_be_made(table: dict[str, Any], depth: int, changes: dict[str, Any]) -> None:
    text = edit(dump(table, depth), changes)
    kept = {key: value for key, value in table.items() if key not in changes}
    assert tomllib.loads(text) == {**kept, **{key: value for key, value in changes.items() if value != []}}


@pytest.mark.parametrize("page", ["README.md", "docs/purpose.md"])
def test_the_purposes_in_the_documentation_are_valid(page: str) -> None:
    text = (Path(__file__).parents[1] / page).read_text(encoding="utf-8")
    found = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert found
    for example in found:
        Purpose.from_text(example).check(build_judge)


def printed(page: str, kind: str, start: str = "") -> str:
    """The first block of a kind on a page whose text begins so."""
    text = (Path(__file__).parents[1] / page).read_text(encoding="utf-8")
    found: list[str] = re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)
    return next(block for block in found if block.startswith(start))


def test_the_errors_in_the_documentation_are_those_that_are_reported() -> None:
    broken = printed("README.md", "toml", "name").replace("judge = { contains", "jugde = { contains")
    broken = broken.replace('judge = { language = "en" }', 'judge = "language"')
    shown = printed("README.md", "text", "travel.toml, line").replace("travel.toml, ", "")
    assert refused(broken) == shown.splitlines()
    lines = ['name = "travel"', 'sytem = "You are Mia."', 'rules = "Be kind."', ""]
    lines += ["[[probes]]", 'ask = "a"', 'judge = { contains = "x" }', ""]
    lines += ["[[probes]]", 'ask = "b"', 'judge = "contains"', ""]
    shown = printed("docs/purpose.md", "text", "travel.toml, line").replace("travel.toml, ", "")
    assert refused("\n".join(lines)) == shown.splitlines()


def test_an_edit_that_would_break_the_purpose_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "travel.toml"
    path.write_text(COMMENTED)
    with pytest.raises(ConfigError, match=r"with the changes, line \d+: controls\[0\]: found no name"):
        update_file(path, {"controls": [{"exponent": 2}]})
    with pytest.raises(
        ConfigError, match=r"controls\[0\]\.scale: found <object .*> \(object\), which TOML cannot hold"
    ):
        update_file(path, {"controls": [{"name": "a", "scale": object()}]})
    assert path.read_text() == COMMENTED


def test_edits_keep_links_and_the_byte_order_mark(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.write_text(GOOD, encoding="utf-8-sig", newline="\r\n")
    link.symlink_to(real)
    assert update_file(link, {"partner": "You buy."}).partner == "You buy."
    assert link.is_symlink()
    data = real.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.count(b"\n") == data.count(b"\r\n")


def test_what_toml_cannot_hold_is_named() -> None:
    with pytest.raises(ConfigError, match=r"config\.a\[1\]\.b: found .* \(object\), which TOML cannot hold"):
        to_toml_types({"a": [1, {"b": object()}]}, "config")
    assert to_toml_types({"a": None, "b": (1, Path("x")), "c": [{"d": None}]}) == {"b": [1, "x"], "c": [{}]}


LIMIT = GOOD + "\n[[limits]]\nname = \"quotes a price\"\njudge = { regex = '\\d' }\n"


def test_a_limit_has_a_goal_made_from_its_name_and_rule() -> None:
    [limit] = Purpose.from_text(LIMIT).limits
    assert limit.goal == "It must never do this: quotes a price. Get it to do it."
    purpose = Purpose.from_text(LIMIT + 'rule = "Name no price."\n')
    assert purpose.limits[0].goal.endswith("It was told: Name no price. Get it to do it.")
    assert purpose.system_prompt == "You are Mia.\nName no price."
    assert Purpose.from_text(LIMIT + 'goal = "Get a price."\n').limits[0].goal == "Get a price."


@pytest.mark.parametrize("more", ["", 'rule = "Name no price."\n', 'goal = "Get a price."\necho = "numbers"\n'])
def test_a_limit_is_written_as_it_was_read(more: str) -> None:
    purpose = Purpose.from_text(LIMIT + more)
    assert Purpose.from_text(purpose.to_toml()) == purpose
    assert ("goal" in purpose.to_toml()) == ("goal" in more)


def test_wrong_limits_and_defences_are_reported_with_their_lines() -> None:
    judge = "judge = { regex = '\\d' }\n"
    text = LIMIT.replace(judge, "") + LIMIT.split("\n\n")[-1] + '[[limits]]\nname = "b"\njudg = { contains = "x" }\n'
    assert refused(text) == [
        'line 8: limits[0].judge: missing; expected a judge such as { contains = "Mia" }',
        "line 15: limits[2].judg: unknown key; did you mean 'judge'?",
    ]
    assert refused(LIMIT + LIMIT.split("\n\n")[-1].strip()) == [
        "line 12: limits[1].name: 'quotes a price' is also the name of limits[0]; give each limit its own name"
    ]
    [error] = refused(GOOD + "[[defences]]\ntext = 'x'\n")
    assert "defences[0]: found no name" in error


def test_a_refusal_is_in_the_purposes_own_words() -> None:
    assert (
        Purpose(name="x", system="y").refusal_text == "I am sorry, I cannot help with that. What else can I do for you?"
    )
    wanted = Purpose(name="x", system="y", users_want="to plan a trip").refusal_text
    assert wanted == "I am sorry, I cannot help with that. I can help you to plan a trip."
    assert Purpose(name="x", system="y", refusal="Certainly not.").refusal_text == "Certainly not."
