"""Gradients of chapters 3 and 5 in the figures that compute, and long jobs."""

import shutil

import pytest
import torch

from aevb_utils.figures.computing import bundle
from tools.chapter_code import names_of_chapter


@pytest.fixture(autouse=True)
def default_type():
    """A chapter may set torch's default type: it is put back."""
    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def with_probe(tmp_path, monkeypatch):
    """Write a module as the figure ``probe``, and return the script that has it."""

    def write(source):
        shutil.copytree(bundle.SOURCES, tmp_path / "js")
        (tmp_path / "js" / "figures" / "probe.js").write_text(source, encoding="utf-8")
        monkeypatch.setattr(bundle, "SOURCES", tmp_path / "js")
        return f"{bundle.bundle(['probe'])}const m = aevbFigures.{bundle.key(['probe'])}.modules;"

    return write


@pytest.fixture
def evaluate(browser):
    """Run code in a page of its own, and return what it returns."""
    with browser.new_page() as page:
        yield lambda code: page.evaluate(f"async () => {{ {code} }}")


def test_gradients_have_the_chapter_s_variances(evaluate, with_probe):
    script = with_probe(
        'import { exactMoments } from "../models/gradients.js";\n\nexport const probe = exactMoments;\n'
    )
    square, *sines = evaluate(
        f"""{script} const at = m["figures/probe.js"].probe;
        return [at((z) => z * z, (z) => 2 * z, 2, 1), ...[0.5, 1, 2, 5].map((k) =>
            at((z) => Math.sin(k * z), (z) => k * Math.cos(k * z), 0.3, 1))];"""
    )
    assert square["gradient"] == pytest.approx(4, abs=1e-9)
    variances = square["variances"]
    score, baseline, path = names_of_chapter(5, "exact_variances")["exact_variances"](1, 2.0)
    assert (score, baseline, path) == (87, 42, 4)
    assert [variances[name] for name in ("score", "baseline", "path")] == pytest.approx([87, 42, 4], abs=1e-9)
    sine_variances = names_of_chapter(5, "sine_variances")["sine_variances"]
    for k, told in zip((0.5, 1, 2, 5), sines, strict=True):
        path, score = (value.item() for value in sine_variances(k, 0.3))
        # the chapter's own numbers are float32 here
        assert [told["variances"]["path"], told["variances"]["score"]] == pytest.approx([path, score], rel=1e-5)


JOB = """import { defineJob, runJob } from "../frame/jobs.js";

defineJob("count", function* ({ to }) {
  const where = typeof document === "undefined" ? "worker" : "page";
  for (let n = 1; n < to; n++) yield { n, where };
  return { n: to, where };
});

export const probe = runJob;
"""


@pytest.mark.parametrize(("before", "where"), [("", "worker"), ("delete globalThis.Worker;", "page")])
def test_a_job_runs_in_a_worker_or_in_slices(evaluate, with_probe, before, where):
    last = evaluate(
        f"""{before} {with_probe(JOB)} return await new Promise((resolve) => m["figures/probe.js"].probe("count",
            {{ to: 5 }}, (result, done) => done && resolve(result)));"""
    )
    assert last == {"n": 5, "where": where}
