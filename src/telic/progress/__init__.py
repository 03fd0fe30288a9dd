"""How far a long call has come, and until when it may go on."""

from telic.progress.deadline import Deadline
from telic.progress.display import ProgressDisplay
from telic.progress.limit import Shortfall, forecast_sentence
from telic.progress.report import ProgressCallback, ProgressReport
from telic.progress.tracker import Phase, ProgressTracker, track

__all__ = [
    "Deadline",
    "Phase",
    "ProgressCallback",
    "ProgressDisplay",
    "ProgressReport",
    "ProgressTracker",
    "Shortfall",
    "forecast_sentence",
    "track",
]
