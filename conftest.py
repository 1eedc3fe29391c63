"""What every test run needs, ``pytest --nbval-lax notebooks`` included: the fast budget, and kernels without ports."""

import os

import nbval.kernel

from tools.kernels import SocketKernelManager

os.environ["AEVB_FAST"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
nbval.kernel.KernelManager = SocketKernelManager
