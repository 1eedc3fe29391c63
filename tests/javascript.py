"""Running the modules of the figures that compute, by Node or, where there is none, in Chromium."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from aevb_utils.figures.computing import bundle
from tools.browser import MISSING, find_browser

NODE = shutil.which("node")


def call(module: str, code: str, values: object = None) -> Any:
    """What a function returns that is written in JavaScript.

    Args:
        module: the module whose exports ``code`` sees as ``m``: ``models/curve.js``.
        code: an expression in ``m``, ``values`` and, where it needs another module, ``modules``.
        values: anything that JSON can hold.
    """
    figures = bundle.names()
    script = (
        f"{bundle.bundle(figures)}const {{ modules }} = aevbFigures.{bundle.key(figures)};"
        f"const m = modules[{json.dumps(module)}], values = {json.dumps(values)};"
    )
    if NODE:
        source = f"{script}process.stdout.write(JSON.stringify({code}));"
        run = subprocess.run([NODE, "-"], input=source, capture_output=True, encoding="utf-8", check=False)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)
    if find_browser() is None:
        pytest.skip(f"there is no Node, and {MISSING}")
    from chromium import chromium

    with chromium() as browser:
        page = browser.new_page()
        return json.loads(page.evaluate(f"() => {{ {script} return JSON.stringify({code}); }}"))
