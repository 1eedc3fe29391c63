"""Run the package's tests with other versions of Python and of the libraries.

``python -m tools.versions lowest`` (or ``colab``, or ``newest``; needs uv) makes an environment in
``_build/versions`` and runs the tests of the package there; what follows the name goes to pytest instead, such as
``notebooks/02_em_gaussian_mixture.ipynb``. On Linux it takes the PyTorch for CPUs, unless ``TORCH_INDEX`` is set and
empty: then PyPI's.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tools.environments import ROOT


@dataclass(frozen=True)
class Versions:
    """One choice of versions.

    Attributes:
        python: the version of Python.
        choice: what makes uv choose the libraries' versions.
        warnings: what pytest does with warnings: those of old libraries about each other are no faults of the book.
    """

    python: str
    choice: tuple[str, ...] = ()
    warnings: str = "default"


VERSIONS = {
    "lowest": Versions("3.11", ("--resolution", "lowest-direct")),
    "colab": Versions("3.13", ("--constraints", ".github/constraints-colab.txt")),
    "newest": Versions("3.14", warnings="error"),
}
PACKAGE = tuple(f"tests/{part}" for part in ("checking", "data", "evaluation", "figures", "models", "training"))
"""The tests of the package; those of the notebooks, the site and the tools need what requirements.txt pins."""
NBVAL = ("--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout", "300")


def commands(name: str, rest: Sequence[str], *, torch_index: str | None = None) -> list[list[str]]:
    """What is run, one command after the other."""
    chosen, folder = VERSIONS[name], f"_build/versions/{name}"
    python = f"{folder}/{'Scripts/python.exe' if os.name == 'nt' else 'bin/python'}"
    listed = f"{folder}/requirements.txt"
    backend = [] if torch_index == "" else ["--torch-backend", "cpu"]
    compiled = ["--quiet", "--python-version", chosen.python, *chosen.choice, *backend, "--output-file", listed]
    pytest = ["-q", "-p", "no:cacheprovider", "-o", f"filterwarnings={chosen.warnings}", *NBVAL, *(rest or PACKAGE)]
    return [
        ["uv", "venv", "--quiet", "--clear", "--python", chosen.python, folder],
        ["uv", "pip", "compile", "pyproject.toml", "--extra", "book", *compiled],
        ["uv", "pip", "install", "--python", python, *backend, "--requirements", listed, "--group", "tests"],
        ["uv", "pip", "install", "--python", python, "--no-deps", "--editable", "."],
        [python, "-m", "pytest", *pytest],
    ]


def main(arguments: Sequence[str]) -> int:
    """Make the environment and run the tests; return the exit status of the first command that fails, or 0.

    Returns 2 where there are no versions of that name, and 1 where there is no uv.
    """
    name, *rest = arguments or [""]
    if name not in VERSIONS:
        print(f"There are no versions {name!r}: name {', '.join(VERSIONS)}.", file=sys.stderr)
        return 2
    if shutil.which("uv") is None:
        print("This needs uv: install it with pip install uv.", file=sys.stderr)
        return 1
    environment = os.environ | {"AEVB_FAST": "1", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    for command in commands(name, rest, torch_index=os.environ.get("TORCH_INDEX")):
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
