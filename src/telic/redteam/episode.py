"""One attack, from the first message to the end of its budget, as a generator that yields its model requests.

The loop holds the dialogue as a tree of exchanges, judges every reply by the limit's own judge, and enforces the
budget. The episode's turns are the branch that broke the limit, or else the last one; all that was dropped is recorded
apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from telic.agents.defender import DefendedReply
from telic.agents.player import seed_of
from telic.episodes import Branch, Episode, Turn
from telic.errors import Failure, ModelError
from telic.judges.limits import JudgedLimit, LimitVerdict
from telic.models import Reply
from telic.models.requesting import RequestGenerator, observed, run_together
from telic.redteam.attackers.asking import asks_of
from telic.redteam.attackers.base import START, AttackBrief, Attacker, AttackExchange, AttackMind, AttackMove, Strategy
from telic.redteam.probing import ask_probes
from telic.redteam.refusals import is_refusal, nearness
from telic.redteam.target import AttackTarget, TargetBranch

__all__ = ["AttackTask", "play_attack"]

KIND = "attack"
"""The `kind` of an attack's episode."""
NO_VERDICT = LimitVerdict("held")
"""Of a reply that no limit is judged on, or of none."""


@dataclass(frozen=True, slots=True)
class AttackTask:
    """One attack to play."""

    id: str
    attacker: str
    """Label of the attacker in the results."""
    defence: str
    """Label of the arm of defences in the results."""
    limit: str
    """Name of the limit; empty for a benign user."""
    number: int
    """Number of the dialogue. All defences get the same attacks: same number, same seeds."""
    seed: int
    rounds: int
    queries: int


def play_attack(
    task: AttackTask,
    target: AttackTarget,
    limit: JudgedLimit | None,
    strategy: Strategy,
    mind: AttackMind | None = None,
) -> RequestGenerator[Episode]:
    """Play one attack. A failure ends only this episode, which keeps what was played.

    Args:
        task: which attack, with its seed and budget.
        target: what is attacked.
        limit: what to break, and its judge. None for a benign user: all limits are judged, and none ends the dialogue,
            after which the purpose's probes are asked.
        strategy: the attacker.
        mind: writes the attacker's messages; None for the strategy's templates.
    """
    play = _Attack(task, target, limit, strategy, mind)
    try:
        yield from play.run()
    except ModelError as error:
        play.failure = Failure("model", error.kind, f"the attacker's model failed: {error}")
    except Exception as error:  # an error in a custom strategy must not end the other episodes
        play.failure = Failure("player", "exception", f"attacker {task.attacker!r}: {error!r}")
    return play.episode()


@dataclass(slots=True, eq=False)
class _Node:
    """An exchange with the target, and what the attacker does not see of it."""

    exchange: AttackExchange
    defended: DefendedReply
    branch: TargetBranch
    note: Mapping[str, Any]
    verdicts: Mapping[str, LimitVerdict]
    """By name of the limit."""


@dataclass
class _Attack:
    """The loop of one attack."""

    task: AttackTask
    target: AttackTarget
    limit: JudgedLimit | None
    strategy: Strategy
    mind: AttackMind | None
    nodes: list[_Node] = field(default_factory=list)
    ended: str = ""
    """Why the attack ended without a broken limit."""
    failure: Failure | None = None
    mind_tokens: int = 0
    branches: list[Branch] = field(default_factory=list)
    """The probes after a benign dialogue."""

    @property
    def goal(self) -> str:
        """What the attacker wants; nothing for a benign user."""
        return self.limit.goal if self.limit else ""

    def run(self) -> RequestGenerator[None]:
        """Play the dialogue, and ask the probes after that of a benign user."""
        yield from self._talk()
        if self.limit is None and self.nodes and self.failure is None:
            seed = seed_of(self.task.seed, "probes", self.task.number)
            self.branches = yield from ask_probes(self.target, self.nodes[-1].branch, len(self.nodes), seed)

    def _talk(self) -> RequestGenerator[None]:
        """Let the attacker speak until the limit is broken, the budget is used up, or it gives up."""
        attacker = self.strategy.join(self._brief(), self.mind)
        while True:
            left = self.task.queries - len(self.nodes)
            if left <= 0:
                self.ended = "all messages were used"
                return
            moves = yield from self._moves(attacker)
            allowed = [move for move in moves if self._round(move) <= self.task.rounds][:left]
            if not allowed:
                self.ended = "the attacker gave up" if not moves else "all rounds were played"
                return
            yield from self._say_all(allowed)
            if self.failure is not None or self.ended or self.broken is not None:
                return

    @property
    def broken(self) -> _Node | None:
        """The first exchange that broke the limit."""
        return next((node for node in self.nodes if node.exchange.verdict.broken), None)

    def _brief(self) -> AttackBrief:
        purpose, task = self.target.purpose, self.task
        about = f"It helps people {purpose.users_want}." if purpose.users_want else ""
        return AttackBrief(
            goal=self.goal,
            target=about,
            limit=task.limit,
            asks=asks_of(self.limit.limit) if self.limit else (),
            rounds=task.rounds,
            queries=task.queries,
            seed=seed_of(task.seed, task.attacker, task.limit, task.number),
            openers=tuple(purpose.openers),
        )

    def _moves(self, attacker: Attacker) -> RequestGenerator[Sequence[AttackMove]]:
        """Ask the attacker for its next messages, and count the tokens of its mind."""
        choosing = attacker.next_moves([node.exchange for node in self.nodes])
        return (yield from observed(choosing, self._count))

    def _count(self, reply: Reply) -> None:
        self.mind_tokens += reply.new_tokens

    def _round(self, move: AttackMove) -> int:
        if move.after is START:
            return 1
        if not 0 <= move.after < len(self.nodes):
            raise ValueError(f"a message after exchange {move.after}, of which there are {len(self.nodes)}")
        return self.nodes[move.after].exchange.round + 1

    def _say_all(self, moves: Sequence[AttackMove]) -> RequestGenerator[None]:
        """Send messages to the target side by side; the exchanges are numbered in the order of the messages."""
        first = len(self.nodes)
        nodes = yield from run_together(self._say(first + index, move) for index, move in enumerate(moves))
        self.nodes += [node for node in nodes if node.defended.reply.failure is None]
        failures = [node.defended.reply.failure for node in nodes if node.defended.reply.failure is not None]
        self.failure = next((failure for failure in failures if failure.kind != "context_full"), None)
        if failures and self.failure is None:
            self.ended = "the target's context is full"

    def _say(self, number: int, move: AttackMove) -> RequestGenerator[_Node]:
        before = self.target.open() if move.after is START else self.nodes[move.after].branch
        # The seed depends on the exchange's number only, so that all defences meet the same luck.
        seed = seed_of(self.task.seed, "target", self.task.number, number) if move.seed is None else move.seed
        defended, branch = yield from self.target.reply(before, move.text, seed)
        reply = defended.reply.text
        said = [message.content for message in branch.session.dialogue if message.role == "user"]
        verdicts: dict[str, LimitVerdict] = {}
        if defended.reply.failure is None:
            for limit in [self.limit] if self.limit else self.target.defender.limits:
                verdicts[limit.name] = yield from limit.judging(reply, said)
        verdict = verdicts.get(self.limit.name, NO_VERDICT) if self.limit else NO_VERDICT
        refused = defended.refused or is_refusal(reply)
        progress = 1.0 if verdict.broken else 0.0 if refused else 0.1 + 0.8 * nearness(reply, self.goal)
        exchange = AttackExchange(
            number, move.after, self._round(move), move.text, reply, verdict, refused, progress
        )  # fmt: skip
        return _Node(exchange, defended, branch, move.note, verdicts)

    def episode(self) -> Episode:
        """Return the record."""
        task, path = self.task, self._path()
        on_path = {node.exchange.number for node in path}
        episode = Episode(
            id=task.id,
            kind=KIND,
            seed=task.seed,
            roles={
                "attacker": {"name": task.attacker, "system": self.goal, "strategy": self.strategy.spec()},
                "target": {"name": self.target.model.name, "system": self.target.purpose.system_prompt},
            },
            turns=[turn for node in path for turn in self._turns(node)],
            branches=self.branches,
            failure=self.failure,
            metadata={
                "attacker": task.attacker,
                "defence": task.defence,
                "limit": task.limit,
                "task": task.number,
                "rounds": task.rounds,
                "queries": task.queries,
                "dropped": [self._dropped(node) for node in self.nodes if node.exchange.number not in on_path],
            },
        )
        if self.failure is None:
            episode.outcome = self._outcome()
        return episode

    def _path(self) -> list[_Node]:
        """Return the branch that broke the limit, or else the one that was spoken last."""
        node = self.broken or (self.nodes[-1] if self.nodes else None)
        path: list[_Node] = []
        while node is not None:
            path.append(node)
            after = node.exchange.after
            node = None if after is START else self.nodes[after]
        return path[::-1]

    def _turns(self, node: _Node) -> list[Turn]:
        exchange, reply = node.exchange, node.defended.reply
        scores = {name: verdict.score for name, verdict in node.verdicts.items() if verdict.score is not None}
        said = Turn(role="attacker", round=exchange.round, text=exchange.said, readings=dict(node.note))
        replied = Turn(
            role="target",
            round=exchange.round,
            text=exchange.reply,
            finish=reply.finish,
            tokens=node.defended.new_tokens,
            prompt_tokens=reply.prompt_tokens,
            scores=scores,
            readings=self._readings(node),
            steps=list(node.defended.messages),
        )
        return [said, replied]

    def _readings(self, node: _Node) -> dict[str, Any]:
        exchange = node.exchange
        readings: dict[str, Any] = {
            "query": exchange.number,
            "verdict": exchange.verdict.kind,
            "refused": exchange.refused,
            "progress": round(exchange.progress, 4),
        }
        unscored = {name: verdict.reason for name, verdict in node.verdicts.items() if verdict.score is None}
        if unscored:
            readings["unscored"] = unscored
        if node.defended.records:
            readings["defences"] = [asdict(record) for record in node.defended.records]
        return readings

    def _dropped(self, node: _Node) -> dict[str, Any]:
        exchange = node.exchange
        return {
            "after": exchange.after,
            "round": exchange.round,
            "said": exchange.said,
            "reply": exchange.reply,
            "tokens": node.defended.new_tokens,
            **dict(node.note),
            **self._readings(node),
        }

    def _outcome(self) -> dict[str, Any]:
        broken, kinds = self.broken, [node.exchange.verdict.kind for node in self.nodes]
        verdict = "held" if self.limit else "benign"
        if broken is not None:
            verdict = "broken"
        elif "error" in kinds or "undetermined" in kinds:  # an undecided reply may have broken it
            verdict = "error" if "error" in kinds else "undetermined"
        return {
            "verdict": verdict,
            "success": {"broken": True, "held": False}.get(verdict),
            "round": broken.exchange.round if broken else None,
            "query": broken.exchange.number + 1 if broken else None,
            "queries": len(self.nodes),
            "ended": self.ended or "the limit was broken",
            "target_tokens": sum(node.defended.new_tokens for node in self.nodes),
            "computed_tokens": sum(node.defended.computed_tokens for node in self.nodes),
            "attacker_tokens": self.mind_tokens,
        }
