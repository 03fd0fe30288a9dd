"""Whether to ask, as a dialogue: in each turn the model asks one question, or says that it has what it needs.

So a planner of dialogue action tokens can decide: going on is an act like the questions. The same dialogue is shown in
training (`telic.assistants.pairing.asking_player`) and in a session.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from telic.assistants.pairing.texts import marked
from telic.dialogue import Dialogue

__all__ = ["PROCEED", "asking_dialogue", "proceeds"]

PROCEED = "PROCEED"
"""What the model says when nothing has to be asked."""
TASK = (
    f"Decide what the author of the issue has to be asked before a patch is written. Ask one short question, or answer "
    f"with the word {PROCEED} if nothing is missing that would change the patch."
)
_PROCEED = re.compile(rf"\W*{PROCEED}\b")


def proceeds(text: str) -> bool:
    """Return whether a reply says that nothing has to be asked."""
    return _PROCEED.match(text) is not None


def asking_dialogue(system: str, issue: str, exchanges: Sequence[tuple[str, str]]) -> Dialogue:
    """Return the dialogue before the next question.

    Args:
        system: the system prompt.
        issue: title and text of the issue, as it was told.
        exchanges: questions and answers so far.
    """
    dialogue = Dialogue().with_system(system or None).add("user", f"{marked('issue', issue)}\n\n{TASK}")
    for question, answer in exchanges:
        dialogue = dialogue.add("assistant", question).add("user", answer)
    return dialogue
