"""Run a notebook or an experiment in the fast budget, in a process of its own, and tell its fingerprint.

``python -m tools.fast_run FILE OUTPUT`` is that process. Its numbers depend on the code and as little as can be on the
machine: one thread, and the instructions that every x86 processor of the last ten years has.
"""

import ast
import hashlib
import json
import os
import platform
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from tools.environments import FAST_RUN, ROOT, UTF8, python_path
from tools.figure_outputs import with_names_alone
from tools.fingerprint import Recorder
from tools.rows import Row, figures_rows
from tools.viewer_pages import with_words_alone

SAME_INSTRUCTIONS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
}
TIMERS = ("perf_counter", "process_time", "seconds")
"""A cell with a name in which one of these stands tells how long something took."""
DATA = re.compile(r"data:(image)?[^\"')\s]*")


class FastRunError(RuntimeError):
    """The code failed in the fast budget."""


def fingerprint(file: Path, root: Path = ROOT) -> list[Row]:
    """The fingerprint of a notebook or of an experiment, from a process of its own.

    Args:
        file: the notebook or the script.
        root: the copy of the book that it belongs to, whose code is run.

    Raises:
        FastRunError: the code failed.
    """
    same = SAME_INSTRUCTIONS if platform.machine().lower() in ("x86_64", "amd64") else {}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AEVB_")}
    environment |= FAST_RUN | UTF8 | same | {"PYTHONPATH": python_path(root)}
    with tempfile.TemporaryDirectory(prefix="aevb-fast-") as folder:
        output = Path(folder) / "fingerprint.json"
        environment["AEVB_KEEP"] = f"{folder}/kept"
        command = [sys.executable, "-m", "tools.fast_run", str(file), str(output)]
        run = subprocess.run(command, cwd=root, env=environment, capture_output=True, encoding="utf-8", check=False)
        if run.returncode or not output.is_file():
            raise FastRunError(f"{file.name} failed in the fast budget:\n{run.stderr[-2000:]}{run.stdout[-500:]}")
        return json.loads(output.read_text(encoding="utf-8"))


def of_notebook(file: Path) -> list[Row]:
    """Run a notebook's cells in this process, those tagged ``setup`` and ``live`` aside."""
    from IPython.core.interactiveshell import InteractiveShell  # an experiment does without, and starts sooner
    from IPython.utils.capture import capture_output

    shell, recorder = InteractiveShell.instance(colors="nocolor"), Recorder()
    os.chdir(file.parent)
    with recorder.recording():
        for name, source in _cells(file):
            recorder.place(name, timed=_takes_times(source))
            with capture_output() as captured:
                result = shell.run_cell(source)
            if not result.success:
                raise FastRunError(f"The cell {name} failed:\n{source}\n{captured.stdout}")
            shown = [output.data for output in captured.outputs]
            if result.result is not None:
                shown.append(shell.display_formatter.format(result.result)[0])
            texts = [data.get("text/plain", "") for data in shown if "text/html" not in data]
            recorder.text(captured.stdout + "\n".join(texts))
            recorder.text("\n".join(said(data.get("text/html", "")) for data in shown), "shown")
        recorder.close()
        recorder.place("the full run alone")
        for name, content in _unseen(file):
            recorder.words(name, content)
    return recorder.rows


def said(page: str) -> str:
    """What a page says, of a viewer's frames too: pictures are compared as pictures, and a frame is a figure.

    Of other data in it, such as sound, a hash stays.
    """

    def content(data: re.Match[str]) -> str:
        return "" if data[1] else hashlib.sha256(data[0].encode()).hexdigest()[:12]

    return DATA.sub(content, with_names_alone(with_words_alone(page)))


def _unseen(file: Path) -> Iterator[tuple[str, str]]:
    """What a full run has and a fast one has not: cells that are live, and weights that are loaded."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    code = {cell["id"]: "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"}
    for cell in cells:
        if "live" in cell["metadata"].get("tags", ()):
            yield f"live {cell['id']}", ast.dump(ast.parse(code[cell["id"]]))
    yield from _weights("\n".join(code.values()))


def _weights(source: str) -> Iterator[tuple[str, str]]:
    """The weights that some code names, each with its hash."""
    for weights in sorted((ROOT / "aevb_utils" / "training" / "weights").glob("*.safetensors")):
        if f'"{weights.stem}"' in source:
            yield f"weights {weights.stem}", hashlib.sha256(weights.read_bytes()).hexdigest()


def _takes_times(source: str) -> bool:
    """Whether some code has a name in which one of ``TIMERS`` stands."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return any(timer in name for timer in TIMERS for name in names)


def _cells(file: Path) -> Iterator[tuple[str, str]]:
    """The id and the source of each cell to run. (nbformat would read them too, and takes seconds to import.)"""
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if (
            cell["cell_type"] == "code"
            and source.strip()
            and not {"setup", "live"} & {*cell["metadata"].get("tags", ())}
        ):
            yield cell["id"], source


def of_experiment(file: Path) -> list[Row]:
    """Run an experiment's ``main`` in this process."""
    recorder = Recorder()
    with recorder.recording():
        main = runpy.run_path(str(file))["main"]
        recorder.place(file.stem)  # what came before: the budgets
        figures = main()
        recorder.close()
        recorder.place("figures")
        for name, value in figures_rows(figures):
            recorder.note(name, [np.asarray(value) if isinstance(value, list | tuple) else value])
    return recorder.rows


if __name__ == "__main__":
    source, target = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    torch.manual_seed(0)
    rows = of_notebook(source) if source.suffix == ".ipynb" else of_experiment(source)
    target.write_text(json.dumps(rows, allow_nan=False), encoding="utf-8")
