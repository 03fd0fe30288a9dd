"""Controls: interventions that keep a model to its purpose while it generates.

Each is imported when it is first used: controls that act inside the model need torch, those for endpoints do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports
from telic.models.control import build_control, registry

if TYPE_CHECKING:
    from telic.steering.anchor import Anchor
    from telic.steering.assume import Assume
    from telic.steering.attention_hold import AttentionHold
    from telic.steering.belief import Belief
    from telic.steering.guidance import Guidance
    from telic.steering.loading import from_pretrained
    from telic.steering.prompt import Prompt
    from telic.steering.refresh import Refresh
    from telic.steering.reminder import Reminder
    from telic.steering.saving import save_pretrained
    from telic.steering.split_softmax import SplitSoftmax
    from telic.steering.vector import Vector

__all__ = [
    "Anchor",
    "Assume",
    "AttentionHold",
    "Belief",
    "Guidance",
    "Prompt",
    "Refresh",
    "Reminder",
    "SplitSoftmax",
    "Vector",
    "build_control",
    "from_pretrained",
    "save_pretrained",
]

__getattr__ = imports(
    __name__,
    {
        "Anchor": "telic.steering.anchor",
        "Assume": "telic.steering.assume",
        "Belief": "telic.steering.belief",
        "Guidance": "telic.steering.guidance",
        "AttentionHold": "telic.steering.attention_hold",
        "Prompt": "telic.steering.prompt",
        "Refresh": "telic.steering.refresh",
        "Reminder": "telic.steering.reminder",
        "SplitSoftmax": "telic.steering.split_softmax",
        "Vector": "telic.steering.vector",
        "from_pretrained": "telic.steering.loading",
        "save_pretrained": "telic.steering.saving",
    },
)

registry.declare(
    anchor="telic.steering.anchor:Anchor",
    assume="telic.steering.assume:Assume",
    belief="telic.steering.belief:belief",
    guidance="telic.steering.guidance:Guidance",
    attention_hold="telic.steering.attention_hold:AttentionHold",
    memory="telic.memory.control:MemoryControl",
    planner="telic.planner.control:planner_control",
    prompt="telic.steering.prompt:Prompt",
    refresh="telic.steering.refresh:Refresh",
    reminder="telic.steering.reminder:Reminder",
    split_softmax="telic.steering.split_softmax:SplitSoftmax",
    vector="telic.steering.vector:vector",
)
