"""What every test run needs, ``pytest --nbval-lax notebooks`` included: the fast budget, and kernels without ports."""

import os

import nbval.kernel
from hypothesis import settings

from tools.kernels import SocketKernelManager

os.environ["AEVB_FAST"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TQDM_DISABLE"] = "1"  # no progress bars between the test results
nbval.kernel.KernelManager = SocketKernelManager

# the same examples every time, and no files left behind
settings.register_profile("book", derandomize=True, deadline=None, database=None, max_examples=50)
settings.load_profile("book")
