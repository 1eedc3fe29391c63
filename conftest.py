"""What every test run needs, ``pytest --nbval-lax notebooks`` included: the fast budget, and kernels without ports."""

import os

import nbval.kernel
import pytest

from tools.kernels import SocketKernelManager

os.environ["AEVB_FAST"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TQDM_DISABLE"] = "1"  # no progress bars between the test results
nbval.kernel.KernelManager = SocketKernelManager


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, those of one file stay together, unless they name another group."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            if not item.get_closest_marker("xdist_group"):
                item.add_marker(pytest.mark.xdist_group(item.path.name))
