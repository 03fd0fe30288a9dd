"""This machine's memory: how much there is, and giving back what is free."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["device_memory", "machine_memory", "release_free_memory"]

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says how much memory a container may use."""


def machine_memory() -> int:
    """This machine's memory in bytes, or its container's limit if that is lower; 8 GiB if the system does not say."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        memory = 8 << 30
    return min([memory, *filter(None, map(_limit, CGROUP_LIMITS))])


def device_memory(device: torch.device) -> int:
    """The memory that keys and values may be given a share of: the machine's, or what is free of a GPU's own."""
    if device.type != "cuda":
        return machine_memory()
    import torch

    return int(torch.cuda.mem_get_info(device)[0])


def _limit(path: Path) -> int:
    try:
        text = path.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def release_free_memory(device: torch.device | None = None) -> None:
    """Give memory that was freed back to the system; glibc and, on a GPU, PyTorch keep it by default.

    Args:
        device: a GPU whose memory was freed, too.
    """
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
        if trim is not None:
            trim(0)
