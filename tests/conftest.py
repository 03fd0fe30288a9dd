"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers are the parallelism: threads of their own would only fight over the same cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Examples are judged by what they find, not by how long a busy machine takes over them.
settings.register_profile("telic", deadline=None)
settings.load_profile("telic")
