"""The part that writes code, for small models: the model writes one function anew, and Telic does everything else.

Telic finds the likeliest places, and the model chooses one. It draws a few versions of the function, puts each into the
file, and runs the tests. The best version is repaired in a few rounds with what the tests say.
"""

from __future__ import annotations

from dataclasses import replace

from telic.agents.agent import controls_of
from telic.agents.player import seed_of
from telic.assistants.pairing.attempts import Attempt
from telic.assistants.pairing.findings import Place
from telic.assistants.pairing.sources import definition_text, read_source, replace_definition
from telic.assistants.pairing.task import PairTask, WorkLog
from telic.assistants.pairing.texts import marked, numbered
from telic.dialogue import Message
from telic.errors import WorkspaceError
from telic.models import Model, Reply, Request, Sampling
from telic.models.requesting import RequestGenerator, ask, run_together
from telic.purpose import Purpose

__all__ = ["FunctionWriter"]

CLEARLY = 1.5
"""Lead of the likeliest place from which no model is asked: a small one chooses worse than the ranking."""
SAMPLING = Sampling(max_new_tokens=700, temperature=0.6, top_p=0.95)


class FunctionWriter:
    """Resolves an issue by writing one function anew.

    Args:
        model: the model.
        purpose: who it is; its system prompt, sampling and controls are used.
        samples: versions of the function at first. The first is the model's likeliest.
        repairs: further rounds.
    """

    def __init__(self, model: Model, purpose: Purpose, samples: int, repairs: int) -> None:
        self.model, self.purpose = model, purpose
        self._samples, self._repairs = samples, repairs
        self._controls = controls_of(purpose)
        self._sampling = replace(SAMPLING, **purpose.sampling.options())

    def write(self, task: PairTask, log: WorkLog, seed: int) -> RequestGenerator[None]:
        """Make attempts until one passes the tests, and report each.

        Args:
            task: the issue, what was found, and the workspace, which is left as the last attempt made it.
            log: gets each reply and each attempt.
            seed: seed of the replies.

        Raises:
            ModelError: the model failed.
            SandboxError: this machine cannot run a sandbox.
        """
        place = yield from self._choose(task, seed)
        if place is None:
            log.attempt(Attempt(problem="The repository has no function that the issue could be about."))
            return
        code = self._code(task, place)
        if task.workspace.masked(code) != code:
            log.attempt(Attempt(problem=f"{place} seems to hold a secret, which no model reads; change it yourself."))
            return
        first = [self._ask(self._task(task, place, code), seed_of(seed, n), n > 0) for n in range(self._samples)]
        replies = yield from run_together(first)
        tried: list[tuple[Attempt, str]] = []

        def attempt(reply: str) -> Attempt:
            made = self._attempt(task, place, reply)
            tried.append((made, reply))
            log.message(Message(role="assistant", content=reply))
            log.message(Message(role="tool", name="run_tests", content=task.workspace.masked(made.summary())))
            log.attempt(made)
            return made

        for text in dict.fromkeys(reply.text for reply in replies):
            if attempt(text).passed:
                return
        for number in range(self._repairs):
            best, text = min(tried, key=lambda one: one[0].badness)
            repair = (*self._task(task, place, code), *self._criticism(task, place, best, text))
            reply = yield from self._ask(repair, seed_of(seed, "repair", number), True)
            if attempt(reply.text).passed:
                return

    def _choose(self, task: PairTask, seed: int) -> RequestGenerator[Place | None]:
        """Let the model choose among the likeliest places, unless the issue names one."""
        places = {str(place): place for place in task.findings.places}
        first, second = (*places.values(), None, None)[:2]
        if first is None or second is None or first.score >= second.score + CLEARLY:
            return first
        signatures = "\n".join(f"{label}: {place.symbol.signature}" for label, place in places.items())
        told = [marked("issue", task.issue), marked("code", signatures), numbered(task.exchanges)]
        told += ["Which of these has to change?"]
        messages = self._dialogue("\n\n".join(filter(None, told)))
        sampling = replace(self._sampling, temperature=0.0, seed=seed)
        reply = yield from ask(self.model, Request(messages, sampling, self._controls, choices=tuple(places)))
        if reply.failure is not None and reply.failure.kind == "unreadable_choice":
            return task.findings.places[0]
        reply.raise_if_failed(f"model {self.model.name!r}")
        return places[reply.text]

    def _code(self, task: PairTask, place: Place) -> str:
        task.reset()
        path = place.symbol.path
        return definition_text(path, read_source(task.workspace, path), place.symbol.name) or place.source

    def _task(self, task: PairTask, place: Place, code: str) -> tuple[Message, ...]:
        failing = "\n".join(f"{name}:\n{text[-800:]}" for name, text in list(task.findings.failing.items())[:2])
        parts = [
            marked("issue", task.issue),
            numbered(task.exchanges),
            marked("tests", task.workspace.masked(failing)) if failing else "",
            marked("code", code, 12_000),
            marked("comment", task.comment) if task.comment else "",
            f"{task.revision}Write all of `{place.symbol.name}` from {place.symbol.path} anew, so that the issue is "
            "resolved. Answer with one code block and nothing else.",
        ]
        return self._dialogue("\n\n".join(filter(None, parts)))

    def _criticism(self, task: PairTask, place: Place, attempt: Attempt, text: str) -> tuple[Message, ...]:
        wrong = marked("tests", task.workspace.masked(attempt.summary()), 3000)
        again = f"That does not do it yet. Write all of `{place.symbol.name}` again, changed, in one code block."
        return Message(role="assistant", content=text), Message(role="user", content=f"{wrong}\n\n{again}")

    def _attempt(self, task: PairTask, place: Place, reply: str) -> Attempt:
        task.reset()
        try:
            replace_definition(task.workspace, place.symbol.path, place.symbol.name, reply)
        except WorkspaceError as error:
            return Attempt(problem=str(error))
        return task.attempt()

    def _dialogue(self, text: str) -> tuple[Message, ...]:
        return Message(role="system", content=self.purpose.system_prompt), Message(role="user", content=text)

    def _ask(self, messages: tuple[Message, ...], seed: int, sampled: bool) -> RequestGenerator[Reply]:
        sampling = replace(self._sampling, seed=seed)
        sampling = sampling if sampled else replace(sampling, temperature=0.0)
        reply = yield from ask(self.model, Request(messages, sampling, self._controls))
        reply.raise_if_failed(f"model {self.model.name!r}")
        return reply
