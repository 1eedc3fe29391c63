"""Sphinx's settings for the slides: MyST in, reveal.js out, nothing from another host."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "book" / "extensions")]

project = "From EM to AEVB"
extensions = ["myst_parser", "sphinx_revealjs", "course.engine.deck"]
myst_enable_extensions = ["amsmath", "attrs_block", "colon_fence", "dollarmath"]
exclude_patterns = ["conf.py"]
root_doc = "index"
language = "en"
highlight_language = "python"

revealjs_style_theme = "white"
revealjs_static_path = ["slides.css", str(ROOT / "book" / "static" / "fonts")]
revealjs_css_files = ["revealjs/plugin/highlight/monokai.css", "slides.css"]
revealjs_script_conf = {
    "width": 1280,
    "height": 720,
    "margin": 0.04,
    "center": False,
    "hash": True,
    "slideNumber": "c/t",
    "transition": "none",
    "pdfSeparateFragments": False,
}
revealjs_script_plugins = [
    {"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"},
    {"name": "RevealHighlight", "src": "revealjs/plugin/highlight/highlight.js"},
]
