"""What Prometheus is told. No label names a user."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from telic.models import Reply

__all__ = ["Metrics"]

SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "telic_requests", "Requests for a chat completion, by the answer's status.", ["status"],
            registry=self.registry,
        )  # fmt: skip
        self.tokens = Counter(
            "telic_tokens", "Tokens: of prompts that were computed, of prompts that were kept, and generated.",
            ["kind"], registry=self.registry,
        )  # fmt: skip
        self.turns = Counter("telic_turns", "Turns that were kept.", registry=self.registry)
        self.left = Counter("telic_clients_left", "Clients that left before their reply.", registry=self.registry)
        self.first_token = Histogram(
            "telic_first_token_seconds", "From a request's arrival to the first piece of its reply.",
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.whole = Histogram(
            "telic_request_seconds", "From a request's arrival to the end of its reply.",
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.under_way = Gauge("telic_requests_under_way", "Requests being answered.", registry=self.registry)
        self.conversations = Gauge(
            "telic_conversations_in_memory", "Conversations that keep something between turns.", registry=self.registry
        )
        self.cache = Gauge("telic_cache_bytes", "Memory of what conversations keep.", registry=self.registry)

    def count(self, reply: Reply) -> None:
        """Count the tokens of a reply."""
        self.tokens.labels("prompt").inc(reply.prompt_tokens - reply.cached_tokens)
        self.tokens.labels("cached").inc(reply.cached_tokens)
        self.tokens.labels("generated").inc(reply.new_tokens)

    def text(self) -> bytes:
        """All figures in Prometheus's text format."""
        return generate_latest(self.registry)
