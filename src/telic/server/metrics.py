"""Metrics for Prometheus. No label names a user."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

from telic.agents.defender import DefenceRecord
from telic.models import Reply

__all__ = ["Metrics"]

BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "telic_requests", "Requests for a chat completion, by status of the response.", ["status"],
            registry=self.registry,
        )  # fmt: skip
        self.tokens = Counter(
            "telic_tokens", "Tokens by kind: computed prompt tokens, cached prompt tokens, generated tokens.",
            ["kind"], registry=self.registry,
        )  # fmt: skip
        self.turns = Counter("telic_turns", "Stored turns.", registry=self.registry)
        self.interrupted_replies = Counter(
            "telic_clients_left", "Interrupted replies: the client disconnected or stopped, or the server closed.",
            registry=self.registry,
        )  # fmt: skip
        self.first_token_seconds = Histogram(
            "telic_first_token_seconds", "From the arrival of a request to the first text of its reply.",
            buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.request_seconds = Histogram(
            "telic_request_seconds", "From the arrival of a request to the end of its reply.",
            buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.active_requests = Gauge("telic_requests_under_way", "Active requests.", registry=self.registry)
        self.conversations = Gauge(
            "telic_conversations_in_memory", "Conversations with a session between turns.", registry=self.registry
        )
        self.cache_bytes = Gauge("telic_cache_bytes", "Memory of the caches of conversations.", registry=self.registry)

        self.defence_decisions = Counter(
            "telic_defence_decisions", "Decisions of the defences, by defence and action; those to pass are left out.",
            ["defence", "action"], registry=self.registry,
        )  # fmt: skip
        self.monitor_probability = Histogram(
            "telic_monitor_probability", "Probability of an attack in a turn, by monitor.", ["defence"],
            buckets=[tenth / 10 for tenth in range(1, 11)], registry=self.registry,
        )  # fmt: skip

        self._add_drift_metrics()
        self._add_canary_metrics()
        self._add_version_metrics()

    def _add_version_metrics(self) -> None:
        self.version_served = Gauge(
            "telic_version_served", "1 for the version that new conversations get, 0 for one that they got before.",
            ["version"], registry=self.registry,
        )  # fmt: skip
        self.version_refused = Gauge(
            "telic_version_refused", "1 while another version is promoted that this server cannot serve; the log says "
            "why.", registry=self.registry,
        )  # fmt: skip
        self.version_changes = Counter(
            "telic_version_changes", "Promotions and rollbacks that the server has followed.", registry=self.registry
        )
        self.versions_loaded = Gauge(
            "telic_versions_loaded", "Versions in memory: the served one, those of conversations under way, a "
            "candidate.", registry=self.registry,
        )  # fmt: skip

    def _add_canary_metrics(self) -> None:
        self.canary_share = Gauge(
            "telic_canary_share", "Share of the users who get the candidate of the canary.", registry=self.registry
        )
        self.canary_users = Gauge(
            "telic_canary_users", "Users whose satisfaction the canary has observed, by arm: candidate, served.",
            ["arm"], registry=self.registry,
        )  # fmt: skip
        self.canary_satisfaction = Gauge(
            "telic_canary_satisfaction", "Their mean satisfaction, by arm.", ["arm"], registry=self.registry
        )
        self.canary_difference = Gauge(
            "telic_canary_difference", "Satisfaction with the candidate minus that with the served version: estimate, "
            "and low and high, the ends of its confidence sequence.", ["bound"], registry=self.registry,
        )  # fmt: skip

    def _add_drift_metrics(self) -> None:
        self.drift_turns = Counter(
            "telic_drift_turns", "Replies chosen for probes: asked, skipped (others were being asked), failed.",
            ["outcome"], registry=self.registry,
        )  # fmt: skip
        self.drift_tokens = Counter("telic_drift_tokens", "Tokens computed for probes.", registry=self.registry)
        self.stability = Summary(
            "telic_stability", "Scores of answers to probes in live conversations, by probe and number of replies.",
            ["probe", "replies"], registry=self.registry,
        )  # fmt: skip
        self.unscored_answers = Counter(
            "telic_unscored_answers", "Answers to probes that no judge could score.", ["probe"], registry=self.registry
        )
        self.limit_verdicts = Counter(
            "telic_limit_verdicts", "Verdicts on the probed replies: held, broken, undetermined, error.",
            ["limit", "verdict"], registry=self.registry,
        )  # fmt: skip
        self.attention = Summary(
            "telic_attention", "Attention to the system prompt in answers to probes, mean over layers.", ["replies"],
            registry=self.registry,
        )  # fmt: skip

    def count_defences(self, records: Iterable[DefenceRecord]) -> None:
        """Count what the defences did in a turn."""
        for record in records:
            if record.action != "pass":
                self.defence_decisions.labels(record.defence or "conversation", record.action).inc()
            if "probability" in record.readings:
                self.monitor_probability.labels(record.defence).observe(record.readings["probability"])

    def count(self, reply: Reply) -> None:
        """Count the tokens of a reply."""
        self.tokens.labels("prompt").inc(reply.prompt_tokens - reply.cached_tokens)
        self.tokens.labels("cached").inc(reply.cached_tokens)
        self.tokens.labels("generated").inc(reply.new_tokens)

    def text(self) -> bytes:
        """Format all metrics as text for Prometheus."""
        return generate_latest(self.registry)
