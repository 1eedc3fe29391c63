"""Which PyTorch is installed, from where, and on which systems there is none."""

import os
import platform
import re
import sys
import sysconfig
from pathlib import Path

from tools.environments import ROOT

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where Linux gets the small PyTorch: PyPI's own build holds CUDA, several GB. Elsewhere PyPI's is the small one."""
VARIABLE = "TORCH_INDEX"
"""The environment variable that names another index; empty means PyPI."""
PYPI = ""
SECONDS = 4.0  # that an index has to answer
SYSTEM = sys.platform


def pin(root: Path = ROOT) -> str:
    """The PyTorch that requirements.txt asks for, as ``torch==2.13.0``."""
    found = re.search(r"^torch==\S+", (root / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError("requirements.txt should have a line that begins with torch==, but has none.")
    return found[0]


def wanted_index() -> str | None:
    """The index that the caller names in ``TORCH_INDEX``; None where it is unset.

    Raises:
        ValueError: it is no address.
    """
    index = os.environ.get(VARIABLE)
    if index is None:
        return None
    index = index.strip()
    if index and not re.match(r"(https?|file)://", index):
        raise ValueError(
            f"{VARIABLE} should be the address of a package index, such as {CPU_INDEX}, or empty for PyPI, "
            f"but is {index!r}."
        )
    return index


def without_secrets(address: str) -> str:
    """An address without a name or a password in it, to be shown."""
    return re.sub(r"//[^/@\s]*@", "//", address)


def usual_index() -> str:
    """The index to take where the caller names none: on Linux that of the small builds, if it can be reached."""
    if SYSTEM != "linux":
        return PYPI
    if _answers(f"{CPU_INDEX}/torch/"):
        return CPU_INDEX
    print(f"{CPU_INDEX} cannot be reached, so PyTorch comes from PyPI, where it may hold CUDA (about 2.7 GB).")
    return PYPI


def _answers(url: str) -> bool:
    import urllib.request  # here, because it takes longer to import than a command to start

    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=SECONDS):
            return True
    except (OSError, ValueError):  # unreachable, refused, or too late
        return False


def why_none(root: Path = ROOT) -> str | None:
    """Why there is no PyTorch of the book's version for this system, and what works, in a sentence; None if there is.

    The site can be built on all of these systems.
    """
    wheel = pin(root)
    if SYSTEM == "darwin" and platform.machine() == "x86_64":
        return (
            f"There is no {wheel} for Intel Macs: read the site (python -m tools book), and run the notebooks on "
            "Colab; on a Mac with Apple silicon, call a Python that is built for arm64."
        )
    if SYSTEM == "darwin" and int(platform.mac_ver()[0].split(".")[0] or 14) < 14:
        return (
            f"There is no {wheel} for macOS before 14: in an environment of your own, pip install torch==2.11.0 and "
            "then pip install '.[book]' jupyterlab, which takes older versions too."
        )
    if SYSTEM == "win32" and sysconfig.get_platform() == "win-arm64":
        return (
            f"There is no {wheel} for Windows on ARM: call a Python that is built for x64, or read the site "
            "(python -m tools book), and run the notebooks on Colab."
        )
    if sys.maxsize < 2**32:
        return f"There is no {wheel} for a Python of 32 bits, which {sys.executable} is: call one of 64 bits."
    return None
