"""Gradients of chapters 3 and 5 in the figures that compute, and long jobs."""

import json
import shutil

import pytest
import torch
from chromium import chromium
from torch.testing import assert_close

from aevb_utils.data import simulated_mixture
from aevb_utils.figures.computing import bundle
from aevb_utils.models.gaussian_mixture import random_start
from aevb_utils.models.mixture_checks import floor_for
from aevb_utils.models.mixture_em import elbo
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


def evaluate(code):
    with chromium() as browser:
        page = browser.new_page()
        return page.evaluate(f"async () => {{ {code} }}")


def test_gradients_have_the_chapter_s_variances(with_probe):
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


def test_slopes_of_the_logits_are_those_of_the_book_s_elbo(with_probe):
    x = simulated_mixture(30, seed=3).train.double()
    theta = random_start(x, 3, 1, covariance_floor=floor_for(x, None))
    logits = torch.randn(30, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    elbo(x, logits.softmax(1), theta).sum().backward()
    given = {
        "weights": theta.weights.tolist(),
        "means": theta.means.tolist(),
        "covariances": [[s[0][0], s[0][1], s[1][1]] for s in theta.covariances.tolist()],
    }
    script = with_probe('import { logitSlopes } from "../models/logits.js";\n\nexport const probe = logitSlopes;\n')
    values = json.dumps([x.tolist(), logits.tolist(), given])
    told = evaluate(f'{script} return m["figures/probe.js"].probe(...{values});')
    assert_close(torch.tensor(told, dtype=torch.float64), logits.grad, atol=1e-9, rtol=0)


JOB = """import { defineJob, runJob } from "../frame/jobs.js";

defineJob("count", function* ({ to }) {
  const where = typeof document === "undefined" ? "worker" : "page";
  for (let n = 1; n < to; n++) yield { n, where };
  return { n: to, where };
});

export const probe = runJob;
"""


@pytest.mark.parametrize(("before", "where"), [("", "worker"), ("delete globalThis.Worker;", "page")])
def test_a_job_runs_in_a_worker_or_in_slices(with_probe, before, where):
    last = evaluate(
        f"""{before} {with_probe(JOB)} return await new Promise((resolve) => m["figures/probe.js"].probe("count",
            {{ to: 5 }}, (result, done) => done && resolve(result)));"""
    )
    assert last == {"n": 5, "where": where}
