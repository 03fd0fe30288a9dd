"""Labelled conversations as tokens to train on, exactly as the engine serves them, and their split by user.

The prompt is what the engine reads before it replies: the purpose's system prompt, the dialogue, the opening of the
reply. The completion is the reply's own tokens and the token that ends the turn. The loss counts these only.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from telic.dialogue import Dialogue, Message
from telic.episodes import Episode
from telic.errors import ConfigError, DataError, ModelError
from telic.feedback.exports import DataRow, rows_by_user
from telic.learners.splitting import split_by_user
from telic.learners.tuning.config import TuningConfig, TuningMethod
from telic.rendering import Template

__all__ = ["Example", "Examples", "make_examples"]

LEAST_OF_A_KIND = 4
"""KTO: good replies, and bad ones, that both sides need together."""


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt with one completion, or with a better and a worse one."""

    user: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    """The reply; of a pair, the better one."""
    good: bool = True
    """Whether the completion is good. KTO has bad ones too."""
    rejected_ids: tuple[int, ...] = ()
    """DPO: the worse reply."""


@dataclass(frozen=True)
class Examples:
    """Examples to train on and to evaluate on, of different users."""

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    left_out: int
    """Rows that were too long, or that the chat template refused."""

    @property
    def counts(self) -> dict[str, int]:
        """How many examples, good ones, and users there are on each side."""
        found = {"left out": self.left_out}
        for name, part in (("train", self.train), ("held out", self.held_out)):
            users = len({one.user for one in part})
            found |= {name: len(part), f"{name} good": sum(one.good for one in part), f"{name} users": users}
        return found


def make_examples(labelled: Iterable[Episode], template: Template, system: str, config: TuningConfig) -> Examples:
    """Make the examples of a method, and split them by user.

    Args:
        labelled: labelled episodes; for DPO they are read twice.
        template: the chat template of the model that is trained.
        system: the system prompt that is served.
        config: the method, the longest example, the split.

    Raises:
        ConfigError: there is too little to learn from; the message says what is missing.
    """
    found: list[Example] = []
    left_out = 0
    for user, row in _rows(labelled, config.method):
        example = _example(user, row, template, system, config.max_tokens)
        left_out += example is None
        if example is not None:
            found.append(example)
    _check(found, left_out, config)
    train, held_out = split_by_user(found, config.held_out, config.seed, both_kinds=config.method == "kto")
    if config.examples is not None and len(train) > config.examples:
        train = _drawn(train, config)
    return Examples(tuple(train), tuple(held_out), left_out)


def _rows(labelled: Iterable[Episode], method: TuningMethod) -> Iterator[tuple[str, DataRow]]:
    if method != "sft":
        yield from rows_by_user(method, labelled)
        return
    yield from ((user, row) for user, row in rows_by_user("kto", labelled) if row["label"])
    for user, row in rows_by_user("dpo", labelled):  # what a user wrote instead, or liked better
        yield user, {"prompt": row["prompt"], "completion": row["chosen"], "label": True}


def _drawn(train: Sequence[Example], config: TuningConfig) -> list[Example]:
    """Draw the examples to train on, as many good as bad ones as far as there are."""
    drawn = random.Random(config.seed)
    most = config.examples or len(train)
    kinds = [[one for one in train if one.good is good] for good in (True, False)]
    for kind in kinds:
        drawn.shuffle(kind)
    fewer, more = sorted(kinds, key=len)
    few = fewer[: most // 2]
    return few + more[: most - len(few)]


def _check(found: Sequence[Example], left_out: int, config: TuningConfig) -> None:
    long = f" ({left_out} more are longer than {config.max_tokens} tokens or cannot be rendered)" if left_out else ""
    if config.method == "dpo" and not found:
        raise ConfigError(
            f"there are no pairs for DPO{long}: no reply was edited, and none was chosen over another one. Use "
            "--method kto, which needs single replies that were good or bad"
        )
    if config.method == "kto":
        for good, what in ((True, "good"), (False, "bad")):
            count = sum(one.good is good for one in found)
            if count < LEAST_OF_A_KIND:
                other = "; --method sft needs good ones only" if not good else ""
                raise ConfigError(
                    f"KTO needs good and bad replies, but only {count} of the {len(found)} are clearly {what}{long}; "
                    f"expected {LEAST_OF_A_KIND} or more of each{other}"
                )
    if len(found) < config.least:
        raise ConfigError(
            f"there are {len(found)} examples for {config.method.upper()}{long}; expected {config.least} or more. "
            "Collect more conversations"
        )


def _example(user: str, row: DataRow, template: Template, system: str, max_tokens: int) -> Example | None:
    try:
        dialogue = Dialogue(Message(**message) for message in row["prompt"]).with_system(system)
        texts = [row[key][0]["content"] for key in ("completion", "chosen", "rejected") if key in row]
        while True:
            prompt = template.render(dialogue, reply=True).token_ids
            completions = [_completion(template, dialogue, text) for text in texts]
            if len(prompt) + max(map(len, completions)) <= max_tokens:
                break
            dialogue = _without_oldest(dialogue)
    except (ModelError, DataError):
        return None
    rejected = completions[1] if len(completions) > 1 else ()
    return Example(user, tuple(prompt), completions[0], bool(row.get("label", True)), rejected)


def _without_oldest(dialogue: Dialogue) -> Dialogue:
    """Drop the oldest exchange.

    Raises:
        DataError: only the user's last message is left.
    """
    turns = dialogue.turns()
    later = next((at for at, message in enumerate(turns) if at and message.role == "user"), None)
    if later is None:
        raise DataError("the reply and what it answers are too long")
    return turns[later:].with_system(dialogue.system)


def _completion(template: Template, dialogue: Dialogue, text: str) -> tuple[int, ...]:
    """Return the tokens of a reply, and the one that ends its turn if the template writes one."""
    rendering = template.render(dialogue.add("assistant", text), reply=False)
    span, turn = rendering.contents[-1], rendering.turns[-1]
    if not len(span):
        raise DataError("the reply is empty")
    closing = rendering.token_ids[span.end : turn.end][:1]
    ends = closing and closing[0] in template.tokenizer.all_special_ids
    return rendering.token_ids[span.start : span.end] + (closing if ends else ())
