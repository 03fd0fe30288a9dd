"""A prompt as embeddings: what the local model makes of them, and what a vLLM server is sent."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import torch

from telic.errors import ConfigError, UnsupportedControlError
from telic.models.request import Sampling
from telic.planner.prompt_embeds import complete, encode, prompt_embeddings
from telic.steering import AttentionHold, Reminder
from tests.models import tiny
from tests.models.test_controls import Prefix
from tests.models.tiny import LONG, MIDDLE, ask
from tests.planner.planners import control_of


def decode(text: str) -> torch.Tensor:
    """As the server does: a plain tensor or nothing."""
    tensor = torch.load(io.BytesIO(base64.b64decode(text, validate=True)), weights_only=True, map_location="cpu")
    assert isinstance(tensor, torch.Tensor)
    assert tensor.dtype in (torch.float32, torch.bfloat16, torch.float16)
    assert tensor.dim() == 2
    return tensor


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "gpt2"])
@pytest.mark.parametrize("placement", ["end", "mid", "start"])
def test_the_reply_to_the_embeddings_is_the_engines_own(architecture: str, placement: str) -> None:
    case = tiny.case(architecture)
    control = control_of(case.model, placement=placement, sigma=0.2)
    request = ask(MIDDLE, controls=(Reminder(), control), max_new_tokens=6, seed=3)
    reply = case.one(request)
    embedded = decode(encode(prompt_embeddings(case.model, request)))
    assert embedded.shape == (reply.prompt_tokens, case.model.hidden_size)
    network = case.reference.model
    said: list[int] = []
    with torch.inference_mode():
        while len(said) < len(reply.token_ids):
            inputs = torch.cat([embedded, network.get_input_embeddings()(torch.tensor(said, dtype=torch.long))])
            said.append(int(network(inputs_embeds=inputs[None], use_cache=False).logits[0, -1].argmax()))
    assert tuple(said) == reply.token_ids


def test_other_prefixes_and_a_given_beginning_are_in_it() -> None:
    case = tiny.case("llama")
    vectors = torch.ones(2, 32)
    request = ask(MIDDLE, controls=(Prefix(vectors, "end"),))
    request.reply_prefix = "In May"
    embedded = prompt_embeddings(case.model, request)
    begun = case.model.tokenizer("In May", add_special_tokens=False)["input_ids"]
    assert len(embedded) == len(case.prompt(request)) + 2 + len(begun)
    assert torch.equal(embedded[-2 - len(begun) : -len(begun)], vectors)


def test_they_are_in_the_models_own_precision() -> None:
    model = tiny.local("llama", dtype=torch.bfloat16)
    request = ask(MIDDLE, controls=(control_of(model),))
    assert decode(encode(prompt_embeddings(model, request))).dtype == torch.bfloat16


def test_a_control_that_prompt_embeddings_cannot_carry_is_refused() -> None:
    model = tiny.local("llama")
    with pytest.raises(
        UnsupportedControlError, match="'attention_hold' acts on attention, which prompt embeddings cannot carry"
    ):
        prompt_embeddings(model, ask(MIDDLE, controls=(AttentionHold(),)))
    with pytest.raises(ConfigError, match="made for model 'tiny-llama'"):
        prompt_embeddings(tiny.local("gpt2"), ask(MIDDLE, controls=(control_of(model),)))


class Server(HTTPServer):
    """A double of vLLM's completions endpoint."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[dict[str, Any]] = []
        self.status, self.answer = 200, completion(" In May?")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append({**body, "path": self.path})
        data = json.dumps(self.server.answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def completion(text: str | None, finish: str = "stop") -> dict[str, Any]:
    choices = [] if text is None else [{"index": 0, "text": text, "finish_reason": finish, "logprobs": None}]
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    return {"id": "1", "object": "text_completion", "created": 1, "model": "m", "choices": choices, "usage": usage}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_server_is_sent_the_embeddings(server: Server) -> None:
    model = tiny.local("llama")
    embedded = prompt_embeddings(model, ask(LONG, controls=(control_of(model),)))
    sampling = Sampling(max_new_tokens=8, temperature=0.5, top_k=3, seed=7, stop=("\n",), ignore_eos=True)
    reply = complete(embedded, "smollm2", server.url, sampling)
    assert (reply.text, reply.finish, reply.prompt_tokens, reply.new_tokens) == (" In May?", "stop", 9, 4)
    (body,) = server.bodies
    assert torch.equal(decode(body.pop("prompt_embeds")), embedded)
    assert body == {
        "path": "/v1/completions",
        "model": "smollm2",
        "prompt": "",
        "max_tokens": 8,
        "temperature": 0.5,
        "top_p": 1.0,
        "top_k": 3,
        "seed": 7,
        "stop": ["\n"],
        "ignore_eos": True,
    }


def test_a_server_that_fails_gives_a_reply_that_says_so(server: Server) -> None:
    embedded = torch.zeros(3, 4)
    server.status, server.answer = 400, {"error": {"message": "prompt embeds are not enabled"}}
    reply = complete(embedded, "m", server.url, retries=0)
    assert reply.finish == "error"
    assert "prompt embeds are not enabled" in str(reply.failure)
    server.status, server.answer = 200, completion(None)
    reply = complete(embedded, "m", server.url, retries=0)
    assert "malformed reply: no text in the first choice" in str(reply.failure)
    server.answer = completion("In", "length")
    assert complete(embedded, "m", server.url, Sampling(max_new_tokens=4)).finish == "length"
