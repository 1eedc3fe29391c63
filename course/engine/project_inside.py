"""What runs inside the box for a project: a team's ``run.py``, and the contract of its model.

The text of this file is the box's first cell, so that it needs nothing of the course. What its functions return leaves
as plain numbers and short text, and is judged outside, by ``project.py``: a team's code may change all that is here.
"""

import contextlib
import importlib
import io
import json
import os
import re
import resource
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

LARGEST_RESULTS = 64 * 2**10
MOST_NUMBERS = 60
NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
CHUNKS, REPEATS = 50, 8
"""Draws for each row: their product; in small parts, since a datum may be a long series."""
MOST_ROWS = 32


def working_copy(given: str) -> Path:
    """A copy of the team's folder that may be written to."""
    return Path(shutil.copytree(Path(given) / "project", Path.cwd() / "work"))


def run_team(given: str, seed: int) -> dict[str, Any]:
    """Run ``run.py``: its ``status``, ``cpu``, ``said`` (its last words), and ``results``, or ``why`` it has none."""
    work = working_copy(given)
    environment = {name: value for name, value in os.environ.items() if name != "AEVB_FAST"}
    environment |= {"PYTHONPATH": f"{given}/book", "TQDM_DISABLE": "1"}
    errors = Path.cwd() / "errors.txt"
    with errors.open("wb") as stderr:
        done = subprocess.run(
            [sys.executable, "run.py", "--seed", str(seed)],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            check=False,
        )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = errors.read_bytes()[-2_000:].decode("utf-8", "replace").strip().splitlines()
    results, why = read_results(work / "results.json")
    return {
        "status": done.returncode,
        "cpu": used.ru_utime + used.ru_stime,
        "said": lines[-1] if lines else "",
        "results": results,
        "why": why,
    }


def read_results(path: Path) -> tuple[dict[str, float] | None, str]:
    """The numbers of ``results.json``, or None and why there are none."""
    try:
        found = path.lstat()
    except OSError:
        return None, "it wrote no results.json"
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_RESULTS:
        return None, f"results.json is no file of at most {LARGEST_RESULTS >> 10} kB"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None, "results.json is no JSON"
    if type(content) is not dict or not 0 < len(content) <= MOST_NUMBERS:
        return None, f"results.json is no object of 1 to {MOST_NUMBERS} numbers"
    for name, value in content.items():
        if not NAME.fullmatch(name) or type(value) not in (int, float):
            return (
                None,
                f"results.json holds {name[:60]!r}, which is no plain number with a name of letters, digits and _",
            )
    return content, ""


def contract(given: str) -> dict[str, Any]:
    """What ``check_model`` says of the team's model (``failed``), draws to compare, and the two values of ``paper``."""
    os.chdir(working_copy(given))
    sys.path.insert(0, f"{given}/book")
    sys.path.append(str(Path.cwd()))  # last, so that no module of the team's is taken for a library's
    from aevb_utils.checking import check_model
    from aevb_utils.models.recipe import shaken

    team = importlib.import_module("model")  # after what checks it
    data = tuple(team.rows())
    if not 2 <= len(data[0]) <= MOST_ROWS:
        return {"failed": f"rows() returns {len(data[0])} rows; eight are asked for, 2 to {MOST_ROWS} taken."}
    model = shaken(team.build())
    said: dict[str, Any] = {"failed": "", "draws": None, "paper": None, "paper_failed": ""}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            check_model(model, *data)
    except Exception as error:
        said["failed"] = " ".join(str(error).partition("✗ ")[2].partition("✗ ")[0].split()) or str(error)
        said["failed"] = said["failed"] or type(error).__name__
    if not said["failed"]:
        said["draws"] = draws(model, data)
    try:
        said["paper"] = paper(team)
    except Exception as error:
        said["paper_failed"] = f"{type(error).__name__}: {error}"
    return said


def draws(model: Any, data: tuple[Any, ...]) -> dict[str, Any]:  # noqa: ANN401
    """Draws of the ELBO's parts, by the model's methods and from its three distributions: (draws, rows) each."""
    import torch

    from aevb_utils.evaluation.contexts import call_with_context

    x, *context = (part.repeat(REPEATS, *[1] * (part.ndim - 1)) for part in data)
    found: dict[str, list[Any]] = {}
    with torch.no_grad():
        model.eval()
        for _ in range(CHUNKS):
            terms = dict(model.elbo_terms(x, *context, num_samples=1))
            parts = {
                "elbo": model.elbo(x, *context, num_samples=1),
                "reconstruction": terms.pop("reconstruction"),
                "others": sum(terms.values()),
                "log_weights": model.log_weights(x, *context, num_samples=1),
            }
            q = model.q_z_given_x(x, *context)
            z = q.sample()
            parts["log_likelihood"] = call_with_context(model.p_x_given_z, z, context=context).log_prob(x)
            parts["log_ratio"] = call_with_context(model.p_z, context=context).log_prob(z) - q.log_prob(z)
            for name, value in parts.items():
                found.setdefault(name, []).append(value.reshape(REPEATS, len(data[0])))
    return {name: torch.cat(values) for name, values in found.items()}


def paper(team: Any) -> list[float]:  # noqa: ANN401
    """Log p(x, z) by the team's formula, and by its code, at the team's point."""
    import torch

    from aevb_utils.evaluation.contexts import call_with_context

    model, row, z, value = team.paper()
    with torch.no_grad():
        x, *context = row
        likelihood = call_with_context(model.p_x_given_z, z, context=context).log_prob(x)
        prior = call_with_context(model.p_z, context=context).log_prob(z)
    return [float(value), float((likelihood + prior).reshape(()))]
