"""The files of the figures that compute, written into the site: scripts, data, pictures; pages share them."""

import hashlib
import importlib.util
import shutil
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
FOLDER = "_static"
STILLS = f"{FOLDER}/stills"


@cache
def package() -> ModuleType:
    """The package's module that writes the script, without the package and the libraries that it needs."""
    spec = importlib.util.spec_from_file_location("bundle", ROOT / "aevb_utils" / "figures" / "computing" / "bundle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def script(site: Path, figures: list[str]) -> str:
    """Write the script of some figures into the site; return its address there, from the root."""
    text = package().bundle(figures)
    return _written(site, f"figures-{_hash(text)}.js", text)


def still(site: Path, figure: str, state: str) -> str:
    """Copy the picture of a figure in a state into the site; return its address there, empty where there is none."""
    picture = package().still_of(figure, state)
    if not picture.is_file():
        return ""
    (site / STILLS).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(picture, site / STILLS / picture.name)
    return f"{STILLS}/{picture.name}"


def data(site: Path, figure: str) -> str:
    """Write a figure's data into the site; return their address there, empty where a page holds them itself."""
    shared = package().data_file(figure)
    return _written(site, *shared) if shared else ""


def later(site: Path, figure: str) -> str:
    """Write what a figure loads at the first touch; return its address there, empty where there is no such thing."""
    text = package().later_script(figure)
    return _written(site, f"{figure}-later-{_hash(text)}.js", text) if text else ""


def _written(site: Path, name: str, text: str) -> str:
    path = site / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return f"{FOLDER}/{name}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
