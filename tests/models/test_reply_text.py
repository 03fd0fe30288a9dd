"""The text of a growing reply: the same as if it were decoded and searched as a whole, at a cost that does not grow."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("torch")

from telic.models.local import reply_text
from telic.models.local.reply_text import Detokenizer, ReplyText
from telic.models.request import Request, Sampling
from tests.models import tiny

TEXTS = (
    "Where would you like to go, and with whom?",
    "Zürich, naïve café: 東京へ行きたい 🙂🙃 Привет",
    "<|im_start|>user\nHello<|im_end|>\n",
)


class Counting(Detokenizer):
    """Counts the tokens that it decodes."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self.tokens = 0

    def decode(self, tokens: Sequence[int]) -> str:
        self.tokens += len(tokens)
        return super().decode(tokens)


def grown(tokens: Sequence[int], stop: Sequence[str] = (), step: int = 1) -> tuple[ReplyText, list[str]]:
    """The text token by token, and the pieces that a stream gets."""
    output = ReplyText(Detokenizer(tiny.tokenizer()), stop)
    pieces: list[str] = []
    shown = 0
    for end in range(step, len(tokens) + step, step):
        output.update(tokens[:end])
        assert output.text.startswith("".join(pieces)), "what was shown does not change"
        pieces.append(output.text[shown : output.final_length])
        shown = max(shown, output.final_length)
        if output.stopped:
            break
    return output, pieces


def decoded(tokens: Sequence[int]) -> str:
    tokenizer = tiny.tokenizer()
    return str(tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))


@pytest.mark.parametrize("step", [1, 3, 100])
def test_the_text_is_that_of_all_tokens_decoded_together(step: int) -> None:
    draw = random.Random(0)
    size = len(tiny.tokenizer())
    replies = [tiny.tokenizer()(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    replies += [[draw.randrange(size) for _ in range(60)] for _ in range(100)]  # half of them broken characters
    for tokens in replies:
        output, pieces = grown(tokens, step=step)
        assert output.text == decoded(tokens)
        assert output.text.startswith("".join(pieces))
        assert output.text[output.final_length :].strip("\ufffd") == ""


def test_a_reply_ends_before_the_earliest_stop_string_wherever_its_tokens_are_cut() -> None:
    draw = random.Random(1)
    found = 0
    for number in range(400):
        text = "".join(draw.choice("abö") for _ in range(40))
        stop = ["".join(draw.choice("abö") for _ in range(draw.randint(1, 7))) for _ in range(3)]
        tokens = tiny.tokenizer()(text, add_special_tokens=False)["input_ids"]
        output, pieces = grown(tokens, stop)
        places = [at for at in map(text.find, stop) if at >= 0]
        assert output.stopped == bool(places), (number, text, stop)
        found += output.stopped
        # One that ends first counts, even if another one, which is longer, begins before it.
        assert output.text == text or any(text.startswith(output.text + string) for string in stop)
        assert not any(string in output.text for string in stop)
        assert "".join(pieces) == output.text[: output.final_length]
    assert 50 < found < 350


def test_the_beginning_of_a_stop_string_is_held_back_until_it_cannot_be_one() -> None:
    tokens = tiny.tokenizer()("xx aab", add_special_tokens=False)["input_ids"]
    output = ReplyText(Detokenizer(tiny.tokenizer()), ["aaab!"])
    shown = []
    for end in range(1, len(tokens) + 1):
        output.update(tokens[:end])
        shown.append(output.text[: output.final_length])
    assert shown[-2].endswith("xx ")
    assert shown[-1].endswith("aab")


def test_decoding_and_searching_cost_as_much_per_token_at_the_end_as_at_the_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = "Where would you like to go, and with whom? Never quote a price. " * 40
    tokens = tiny.tokenizer()(words, add_special_tokens=False)["input_ids"]
    detokenizer = Counting(tiny.tokenizer())
    output = ReplyText(detokenizer, ["Where would you like to go, and with" * 30 + "zz"] * 16)
    searched: list[int] = []
    feed = reply_text._Search.feed

    def count(search: reply_text._Search, piece: str) -> int | None:
        searched.append(len(piece))
        return feed(search, piece)

    monkeypatch.setattr(reply_text._Search, "feed", count)
    for end in range(1, len(tokens) + 1):
        output.update(tokens[:end])
    assert output.text == words
    assert detokenizer.tokens <= 3 * len(tokens)
    assert sum(searched) == 16 * len(words), "each character is searched once for each string"


def test_stop_strings_of_a_reply_of_a_model() -> None:
    model = tiny.local("llama")
    request = tiny.ask(max_new_tokens=30, ignore_eos=True)
    [whole] = model.generate([request])
    clean = whole.text.split("\ufffd")[0]
    string = max(whole.text.split("\ufffd"), key=len)[:4] or clean
    [stopped] = model.generate([Request(request.messages, Sampling(30, 0.0, ignore_eos=True, stop=(string, "zz")))])
    assert (stopped.finish, stopped.text) == ("stop", whole.text[: whole.text.index(string)])
