"""Serve MathJax from the site itself: no page asks another host for anything.

The files come from the package ``sphinx-mathjax-offline``. Of its 24 MB the site gets what its pages can ask for: one
combined script and what MathJax's own menu loads (speech, the HTML renderer with its fonts). The script draws
formulas as SVG, without fonts: Firefox refuses fonts to a page opened from disk.
"""

from importlib.util import find_spec
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.fileutil import copy_asset

SCRIPT = "tex-svg-full.js"
NEEDED = [SCRIPT, "a11y", "input/mml.js", "input/mml", "output/chtml.js", "output/chtml/fonts", "sre/mathmaps"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    # Jupyter Book sets this option of an extension that is left out here because it loads scripts from other hosts.
    app.add_config_value("comments_config", {}, "")
    app.connect("config-inited", _use_own_mathjax)
    app.connect("build-finished", _copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _use_own_mathjax(app: Sphinx, config: Config) -> None:
    config.mathjax_path = f"mathjax/{SCRIPT}"


def _copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    package = find_spec("sphinx-mathjax-offline")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("The site needs the package sphinx-mathjax-offline: pip install -r requirements.txt")
    source = Path(package.origin).parent / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    for name in NEEDED:
        if not (source / name).exists():
            raise FileNotFoundError(f"sphinx-mathjax-offline has no {name}: install the version in requirements.txt.")
        destination = target / name
        copy_asset(source / name, destination.parent if (source / name).is_file() else destination)
