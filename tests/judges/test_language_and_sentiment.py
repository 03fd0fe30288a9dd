"""Judges that rest on a model or lexicon shipped in a package."""

from __future__ import annotations

import pytest

from telic.judges import build_judge
from telic.judges.language import COMMON, identify

SENTENCES = {
    "en": "My favourite colour is blue.",
    "fr": "Je m'appelle Luc et j'habite à Lyon.",
    "es": "Me llamo Ana y vivo en Madrid.",
    "de": "Ich heiße Anna und wohne in Köln.",
    "it": "Mi chiamo Marco e abito a Roma.",
    "pt": "O meu nome é João.",
    "nl": "Ik woon al jaren in Utrecht.",
    "sv": "Jag heter Sven och jag bor i Lund.",
    "pl": "Mam na imię Ola i mieszkam w Krakowie.",
    "fi": "Olen Mika Helsingistä.",
    "ja": "私は東京に住んでいます。",
    "ru": "Меня зовут Иван, я живу в Москве.",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_tells_languages_apart(code: str) -> None:
    judge = build_judge({"language": code})
    assert {other: judge.judge(text).value for other, text in SENTENCES.items()} == {
        other: float(other == code) for other in SENTENCES
    }


@pytest.mark.parametrize("answer", ["", "Oui.", "42", "Paris", "🙂🙂🙂", "Ah oui"])
def test_too_short_an_answer_is_missing_and_no_zero(answer: str) -> None:
    score = build_judge({"language": "fr"}).judge(answer)
    assert score.value is None
    assert "too short" in score.reason


def test_an_unsure_identification_is_missing() -> None:
    score = build_judge({"language": "fr"}).judge("Xyzzy plugh foobar qwfpg zxcvb")
    assert score.value is None
    assert "likely enough" in score.reason


def test_a_greeting_does_not_make_the_language() -> None:
    assert build_judge({"language": "fr"}).judge("Bonjour! I recommend the soup of the day.").value == 0.0


def test_several_languages_and_restricted_options() -> None:
    assert build_judge({"language": ["fr", "nl"]}).judge(SENTENCES["nl"]).value == 1.0
    # Galician is not among the common languages; its sentence is taken for Portuguese unless it is named.
    assert "gl" not in COMMON
    assert build_judge({"language": "gl"}).judge("A miña irmá vive na aldea coa súa filla.").value == 1.0
    assert build_judge({"language": "sv", "options": ["da"]}).judge(SENTENCES["sv"]).value == 1.0


def test_probabilities_sum_to_one_over_the_languages_asked_about() -> None:
    ranked = identify(SENTENCES["de"], frozenset({"de", "nl", "en"}))
    assert ranked[0][0] == "de"
    assert len(ranked) == 3
    assert sum(share for _, share in ranked) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("answer", "sounds"),
    [
        ("I love this, it is wonderful!", "positive"),
        ("This is terrible and I hate it.", "negative"),
        ("The table is made of wood.", "neutral"),
        ("It is not good.", "negative"),
    ],
)
def test_sentiment(answer: str, sounds: str) -> None:
    for name in ("positive", "negative", "neutral"):
        assert build_judge({"sentiment": name}).judge(answer).value == float(name == sounds)


def test_a_higher_threshold_widens_neutral() -> None:
    assert build_judge({"sentiment": "neutral", "threshold": 0.9}).judge("It is nice.").value == 1.0
