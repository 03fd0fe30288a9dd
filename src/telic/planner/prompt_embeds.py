"""A planner at scale: prompt embeddings with prefix tokens, for a vLLM server that generates the reply.

This process needs the model's weights too, because the planner decides from the hidden state of the prompt; but it only
reads prompts. Start the server with `--enable-prompt-embeds`, which vLLM recommends for trusted users only. Its
completions endpoint takes the embeddings as base64 of what `torch.save` writes.
"""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from typing import Any

import torch

from telic.errors import ModelError, UnsupportedControlError
from telic.models.compatibility import controlled_messages, refuse_unsupported
from telic.models.control import ControlContext, Insertion
from telic.models.credentials import NO_KEY, check_address, key_for
from telic.models.endpoint import Endpoint, MalformedReplyError, read_reply
from telic.models.local import LocalModel
from telic.models.local.sequences import Sequence
from telic.models.request import Reply, Request, Sampling, random_seed

__all__ = ["complete", "encode", "prompt_embeddings"]

_SUPPORTED = frozenset({"messages", "embeddings"})


@torch.no_grad()
def prompt_embeddings(model: LocalModel, request: Request) -> torch.Tensor:
    """Build the embeddings of a prompt, with the prefix tokens of the request's controls.

    Args:
        model: a model with the same weights as the server's.
        request: its controls may act on messages and embeddings only; its seed draws a planner's noise.

    Returns:
        Embeddings [prompt tokens, hidden] in the model's precision, on the CPU.

    Raises:
        UnsupportedControlError: a control acts at another point, which embeddings cannot carry.
        ModelError: the prompt does not fit into the context.
    """
    refuse_unsupported(model, [request])
    for control in request.controls:
        if not control.points <= _SUPPORTED:
            beyond = ", ".join(sorted(control.points - _SUPPORTED))
            raise UnsupportedControlError(
                f"control {control.name!r} acts on {beyond}, which prompt embeddings cannot carry; drop the control, "
                "or generate the reply with the local model"
            )
    rendering = model.render(controlled_messages(request))
    seed = random_seed() if request.sampling.seed is None else request.sampling.seed
    context = ControlContext(rendering, len(rendering.token_ids), seed=seed)
    state_D = _state(model, request) if any(control.prefix_from_state for control in request.controls) else None
    inserted: list[Insertion] = []
    for control in request.controls:
        if control.prefix_from_state and state_D is not None:
            inserted += control.steering_prefix(context, state_D)
        elif "embeddings" in control.points:
            inserted += control.embeddings(context)
    sequence = Sequence(context)
    sequence.lay_out(inserted)
    if request.reply_prefix:
        sequence.tokens += model.template.encoder.encode(request.reply_prefix)
    embed = model.model.get_input_embeddings()
    ids = torch.tensor([max(token, 0) for token in sequence.tokens], device=embed.weight.device)
    embedded_P_D: torch.Tensor = embed(ids).clone()
    for position, vector_D in sequence.embeddings.items():
        embedded_P_D[position] = vector_D.to(embedded_P_D)
    return embedded_P_D.cpu()


def encode(embeddings_P_D: torch.Tensor) -> str:
    """Encode embeddings [P, D] in vLLM's wire format."""
    buffer = io.BytesIO()
    torch.save(
        embeddings_P_D.detach().cpu().contiguous(), buffer
    )  # the format that the server reads; Telic never loads such data
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def complete(
    embeddings_P_D: torch.Tensor,
    model: str,
    base_url: str,
    sampling: Sampling | None = None,
    *,
    api_key: str | None = None,
    retries: int = 4,
    timeout: float = 60.0,
) -> Reply:
    """Generate a reply to prompt embeddings with a vLLM server.

    Args:
        embeddings_P_D: see `prompt_embeddings`.
        model: name of the model at the server.
        base_url: URL of its API, "/v1" included.
        sampling: sampling parameters of the reply.
        api_key: key of the server, if it needs one; by default that in the environment variable of the address (see
            `telic.models.credentials`).
        retries: times that a failed request is sent again.
        timeout: seconds without an answer after which a request counts as failed.

    Returns:
        The reply. If the server gave none, its `finish` is "error" and its `failure` says why.
    """
    from openai import OpenAI

    sampling = sampling or Sampling()
    check_address(base_url)
    key = api_key or key_for(base_url) or NO_KEY
    endpoint = Endpoint(model, base_url, key, retries, timeout, {})
    with OpenAI(base_url=base_url, api_key=key, max_retries=retries, timeout=timeout) as client:
        try:
            found = client.completions.create(**_options(embeddings_P_D, model, sampling))
            choice = found.choices[0] if found.choices else None
            if choice is None or not isinstance(choice.text, str):
                raise MalformedReplyError("no text in the first choice")
        except Exception as error:  # whatever the client raises, as in `RemoteModel`
            return endpoint.failure(error, sampling)
    usage = found.usage.model_dump() if found.usage else None
    return read_reply(choice.text, choice.finish_reason, usage, None, sampling)


def _options(embeddings_P_D: torch.Tensor, model: str, sampling: Sampling) -> dict[str, Any]:
    extra: dict[str, Any] = {"prompt_embeds": encode(embeddings_P_D)}
    if sampling.top_k:
        extra["top_k"] = sampling.top_k
    if sampling.min_p:
        extra["min_p"] = sampling.min_p
    if sampling.ignore_eos:
        extra["ignore_eos"] = True
    options: dict[str, Any] = {
        "model": model,
        "prompt": "",  # the client requires one; the server puts the embeddings before it
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "extra_body": extra,
    }
    if sampling.seed is not None:
        options["seed"] = sampling.seed
    if sampling.stop:
        options["stop"] = list(sampling.stop)
    return options


def _state(model: LocalModel, request: Request) -> torch.Tensor:
    """Read the last hidden state of the prompt, without the controls that decide from it."""
    others = tuple(control for control in request.controls if not control.prefix_from_state)
    sampling = replace(request.sampling, max_new_tokens=1)
    asked = replace(
        request, controls=others, sampling=sampling, readings=frozenset({"state"}), reply_prefix="", keep=False
    )
    reply = model.generate([asked])[0]
    if reply.state is None:
        failure = reply.failure
        raise ModelError(
            f"the prompt of {reply.prompt_tokens} tokens cannot be read: {failure.detail if failure else reply.finish}",
            failure.kind if failure else "exception",
        )
    return torch.from_numpy(reply.state)
