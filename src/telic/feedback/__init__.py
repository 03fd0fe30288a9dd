"""Learning from users: evidence in what they say and do, satisfaction, rewards, and what a new policy would earn."""

from telic.feedback.analysis import Analysis, Estimate
from telic.feedback.combination import Combination
from telic.feedback.credit import Credit, assign_credit
from telic.feedback.detectors import Detector, default_detectors
from telic.feedback.exports import write_export
from telic.feedback.labelling import Labeller
from telic.feedback.learning import LabelledEpisodes, LearnRun, learn
from telic.feedback.logs import LogFile
from telic.feedback.off_policy import OffPolicyData, effective_sample_size, estimate_value

__all__ = [
    "Analysis",
    "Combination",
    "Credit",
    "Detector",
    "Estimate",
    "LabelledEpisodes",
    "Labeller",
    "LearnRun",
    "LogFile",
    "OffPolicyData",
    "assign_credit",
    "default_detectors",
    "effective_sample_size",
    "estimate_value",
    "learn",
    "write_export",
]
