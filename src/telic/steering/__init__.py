"""Controls: what bends a model towards its purpose."""

from telic.steering.guidance import Guidance
from telic.steering.hold import Hold
from telic.steering.prompt import Prompt
from telic.steering.reminder import Reminder
from telic.steering.split_softmax import SplitSoftmax

__all__ = ["Guidance", "Hold", "Prompt", "Reminder", "SplitSoftmax"]
