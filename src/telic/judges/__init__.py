"""What scores an utterance. Importing this package registers the judges that ship with Telic."""

from telic.judges import combine, language, model, parsed, rules, sentiment  # noqa: F401
from telic.judges.base import Judge, Score, build, judge_all, registry

__all__ = ["Judge", "Score", "build", "judge_all", "registry"]
