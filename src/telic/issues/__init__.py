"""Issues of repositories: what is asked for, what the asker left out, and tests that tell whether it is resolved."""

from telic.issues.ambig_swe import load_ambig_swe
from telic.issues.environments import environment_of
from telic.issues.folder import load_folder
from telic.issues.human_eval_comm import load_human_eval_comm
from telic.issues.issue import Issue
from telic.issues.judging import IssueJudge, Verdict
from telic.issues.quixbugs import load_quixbugs

__all__ = [
    "Issue",
    "IssueJudge",
    "Verdict",
    "environment_of",
    "load_ambig_swe",
    "load_folder",
    "load_human_eval_comm",
    "load_quixbugs",
]
