"""Judges: they score an utterance. Importing this package registers the judges that ship with Telic."""

from telic.judges import combine, functions, language, model, parsed, rules, sentiment  # noqa: F401
from telic.judges.base import (
    BatchJudge,
    Judge,
    NeedsModel,
    Score,
    build_judge,
    judge_all,
    model_judges,
    prepare_judge,
    registry,
)

__all__ = [
    "BatchJudge",
    "Judge",
    "NeedsModel",
    "Score",
    "build_judge",
    "judge_all",
    "model_judges",
    "prepare_judge",
    "registry",
]
