"""Lock the versions of all packages, with their hashes, for every system and Python that the book supports.

It writes ``requirements.lock`` from requirements.txt and ``requirements-site.lock`` from requirements-site.txt. PyTorch
and its CUDA are in neither: which build is wanted depends on the machine. What PyTorch needs besides is there.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.environments import ROOT

OLDEST = "3.11"
LEFT_OUT = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+|aevb-utils)(==| @|$)")
HEAD = "# Made by `python -m tools lock`: every package, for every system, with the hashes of its files.\n"


def compiled(uv: str, root: Path, *arguments: str) -> str:
    """The locked packages that uv finds for a file of requirements, in its format, without PyTorch.

    Raises:
        RuntimeError: uv fails; the message is what it says.
    """
    command = [uv, "pip", "compile", "--universal", "--python-version", OLDEST, "--generate-hashes", "--no-annotate"]
    command += ["--no-header", "--quiet", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return HEAD + without_torch(done.stdout)


def without_torch(text: str) -> str:
    """A lock without the entries of PyTorch, of its CUDA and of the book's own package."""
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    return "".join(entry for entry in entries if not LEFT_OUT.match(entry) and not entry.startswith("-e "))


def main(root: Path = ROOT) -> int:
    """Write both locks; return 1, and leave them as they were, where they cannot be made."""
    uv = shutil.which("uv")
    if uv is None:
        print("Locking needs uv: pip install uv, or see https://docs.astral.sh/uv.", file=sys.stderr)
        return 1
    whole, site = root / "requirements.lock", root / "requirements-site.lock"
    fresh = whole.with_suffix(".lock-new")
    try:
        fresh.write_text(compiled(uv, root, "requirements.txt"), encoding="utf-8", newline="\n")
        of_site = compiled(uv, root, "requirements-site.txt", "--constraints", fresh.name)
        site.write_text(of_site, encoding="utf-8", newline="\n")
        fresh.replace(whole)
    except RuntimeError as error:
        print(f"{error}\nuv could not lock the versions, and says why above.", file=sys.stderr)
        return 1
    finally:
        fresh.unlink(missing_ok=True)
    print(f"Wrote {whole.name} and {site.name}.")
    return 0
