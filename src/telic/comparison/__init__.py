"""Comparing controls: which one holds a chatbot to its purpose best, at what cost in capability?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.comparison.config import ComparisonConfig
    from telic.comparison.holding import hold
    from telic.comparison.results import ComparisonRun
    from telic.comparison.transcript_results import TranscriptRun
    from telic.comparison.transcripts import measure_transcripts

__all__ = ["ComparisonConfig", "ComparisonRun", "TranscriptRun", "hold", "measure_transcripts"]

__getattr__ = imports(
    __name__,
    {
        "ComparisonConfig": "telic.comparison.config",
        "ComparisonRun": "telic.comparison.results",
        "TranscriptRun": "telic.comparison.transcript_results",
        "hold": "telic.comparison.holding",
        "measure_transcripts": "telic.comparison.transcripts",
    },
)
