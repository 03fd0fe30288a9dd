"""The purpose's probes after a benign dialogue: whether a defended chatbot still knows what it is for."""

from __future__ import annotations

from telic.agents.player import seed_of
from telic.episodes import Answer, Branch
from telic.judges.base import scoring
from telic.models.requesting import RequestGenerator
from telic.redteam.target import AttackTarget, TargetBranch

__all__ = ["ask_probes"]


def ask_probes(target: AttackTarget, branch: TargetBranch, rounds: int, seed: int) -> RequestGenerator[list[Branch]]:
    """Ask each probe on a branch of its own, behind the target's defences.

    Args:
        target: who is asked.
        branch: the dialogue after which it is asked.
        rounds: number of exchanges of the dialogue.
        seed: seed of the answers.
    """
    found = []
    for probe, judge in target.probes:
        defended, _ = yield from target.reply(branch, probe.ask, seed_of(seed, probe.name), may_call_tools=False)
        reply = defended.reply
        answer = Answer(text=reply.text, finish=reply.finish, score=None)
        if reply.failure is not None:
            answer.reason = reply.failure.detail
        else:
            score = yield from scoring(judge, reply.text, probe.ask)
            answer.score, answer.reason = score.value, score.reason
        found.append(
            Branch(
                role="target",
                round=rounds,
                probe=probe.name,
                family=probe.family,
                question=probe.ask,
                prompt_tokens=reply.prompt_tokens,
                answers=[answer],
            )
        )
    return found
