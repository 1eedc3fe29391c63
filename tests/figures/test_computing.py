"""The figures that compute: their script, their numbers against the book's Python, their types."""

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import pytest
import torch
from javascript import call
from matplotlib.colors import to_hex
from torch.testing import assert_close

from aevb_utils.data import simulated_mixture
from aevb_utils.figures import COMPONENTS, PALETTE, ComputingFigure
from aevb_utils.figures.computing import bundle
from aevb_utils.models.gaussian_mixture import random_start
from aevb_utils.models.mixture_checks import floor_for
from aevb_utils.models.mixture_em import e_step, elbo, m_step, sufficient_statistics
from tools import figure_data
from tools.chapter_code import names_of_chapter
from tools.notebooks import ROOT

NAMES = bundle.names()


def data_of(figure):
    return json.loads(bundle.data_of(figure))


# The numbers


@pytest.fixture(scope="module")
def chapter_1():
    """What chapter 1 says about one measurement of a flower, and its default type in torch."""
    before = torch.get_default_dtype()
    yield names_of_chapter(1, "one_measurement", "sepal", "elbo", "kl_to_posterior", "sepal_evidence")
    torch.set_default_dtype(before)


def test_be_q_has_the_chapter_s_flower(chapter_1):
    data, theta = data_of("be_q"), chapter_1["one_measurement"]
    assert data["x"] == chapter_1["sepal"][0].tolist()
    assert data["theta"].keys() == theta.keys()
    for name, value in theta.items():
        assert_close(torch.tensor(data["theta"][name], dtype=torch.float64), value, atol=1e-6, rtol=0)


def test_be_q_tells_the_chapter_s_elbo_kl_and_evidence(chapter_1):
    data = data_of("be_q")
    theta = {name: torch.tensor(value, dtype=torch.float64) for name, value in data["theta"].items()}
    x = torch.tensor([data["x"]], dtype=torch.float64)
    places = [(mean, sd) for mean in (-2.5, -1.66, 0.0, 0.4, 1.62, 2.5) for sd in (0.05, 0.2, 0.9, 1.5)]
    told = call(
        "models/curve.js",
        """values.places.map(([mean, sd]) => [m.elbo(values.x, mean, sd, values.theta).elbo,
            m.klToPosterior(values.x, mean, sd, values.theta), m.logEvidence(values.x, values.theta)])""",
        data | {"places": places},
    )
    for (mean, sd), numbers in zip(places, told, strict=True):
        q = torch.tensor([mean], dtype=torch.float64), torch.tensor([sd], dtype=torch.float64)
        bound, kl = (chapter_1[name](x, *q, theta).item() for name in ("elbo", "kl_to_posterior"))
        evidence = chapter_1["log_evidence"](x, theta).item()
        assert numbers[::2] == pytest.approx([bound, evidence], abs=1e-6), (mean, sd)
        if abs(mean) + 6 * sd < 9:  # the chapter's grid ends there
            assert numbers[1] == pytest.approx(kl, abs=1e-6), (mean, sd)
        assert numbers[0] + numbers[1] == pytest.approx(numbers[2], abs=1e-6), (mean, sd)


def test_the_slopes_of_be_q_are_those_of_its_elbo():
    data, h = data_of("be_q"), 1e-5
    slopes = call(
        "models/curve.js",
        f"""[[0.4, 0.9], [-1.5, 0.2], [2, 0.1]].map(([mean, sd]) => {{
            const at = (u, s) => m.elbo(values.x, u, s, values.theta), h = {h}, here = at(mean, sd);
            return [here.byMean, (at(mean + h, sd).elbo - at(mean - h, sd).elbo) / (2 * h),
                here.bySd, (at(mean, sd + h).elbo - at(mean, sd - h).elbo) / (2 * h)];
        }})""",
        data,
    )
    for by_mean, measured_by_mean, by_sd, measured_by_sd in slopes:
        assert by_mean == pytest.approx(measured_by_mean, rel=1e-4, abs=1e-5)
        assert by_sd == pytest.approx(measured_by_sd, rel=1e-4, abs=1e-5)


WATCH_EM = """(() => {
    const { x, start, iterations } = values, floor = values.floor ?? m.floorFor(x), told = [];
    let theta = start, q = x.map(() => start.weights.map(() => 1 / start.weights.length));
    const note = () => told.push([m.elbo(x, q, theta), m.klToPosterior(x, q, theta), m.eStep(x, theta).evidence]);
    note();
    for (let k = 0; k < iterations; k++) {
        q = m.eStep(x, theta).q;
        note();
        theta = m.mStep(x, q, floor);
        note();
    }
    return told;
})()"""


def packed(covariances):
    """Covariances as the figure has them: row by row, on and below the diagonal."""
    return [[row[j] for i, row in enumerate(matrix) for j in range(i + 1)] for matrix in covariances.tolist()]


def watch_em(x, start, iterations):
    """ELBO and evidence after each half-step, by the book's code."""
    theta, q, told = start, torch.full((len(x), len(start.weights)), 1 / len(start.weights), dtype=x.dtype), []
    floor = floor_for(x, None)

    def note():
        told.append([elbo(x, q, theta).sum().item(), e_step(x, theta)[1].sum().item()])

    note()
    for _ in range(iterations):
        q, _ = e_step(x, theta)
        note()
        theta = m_step(sufficient_statistics(x, q), covariance_floor=floor)
        note()
    return told


@pytest.mark.parametrize(
    ("points", "seed"),
    [
        pytest.param(data_of("em")["faithful"], 0, id="Old Faithful"),
        pytest.param(data_of("em")["sixty"], 1, id="sixty points"),
        pytest.param(data_of("em")["iris"], 4, id="iris, four dimensions"),
        pytest.param(simulated_mixture(12, seed=5).train.tolist(), 2, id="twelve points"),
    ],
)
def test_every_half_step_of_em_has_the_book_s_evidence(points, seed):
    x = torch.tensor(points, dtype=torch.float64)
    start = random_start(x, 3, seed, covariance_floor=floor_for(x, None))
    given = {
        "weights": start.weights.tolist(),
        "means": start.means.tolist(),
        "covariances": packed(start.covariances),
    }
    told = call("models/mixture.js", WATCH_EM, {"x": points, "start": given, "iterations": 20})
    known = watch_em(x, start, 20)
    assert len(told) == len(known) == 41
    for (bound, kl, evidence), (known_bound, known_evidence) in zip(told, known, strict=True):
        assert bound == pytest.approx(known_bound, abs=1e-9)
        assert evidence == pytest.approx(known_evidence, abs=1e-9)
        assert bound + kl == pytest.approx(evidence, abs=1e-9)


def test_em_on_iris_is_chapter_2_s_run():
    """From its flowers, with no floor: every half-step of 150 iterations, to where it ends."""
    before = torch.get_default_dtype()
    names = names_of_chapter(2, "start", "steps", "x")
    torch.set_default_dtype(before)
    x, flowers = data_of("em")["iris"], data_of("em")["flowers"]
    assert x == names["x"].tolist()
    assert flowers == names["start"].means.tolist()
    start = call("models/mixture.js", "m.startAt(values.x, values.flowers, [0, 0, 0, 0])", {"x": x, "flowers": flowers})
    assert_close(torch.tensor(start["covariances"]), torch.tensor(packed(names["start"].covariances)))
    told = call("models/mixture.js", WATCH_EM, {"x": x, "start": start, "floor": [0] * 4, "iterations": 150})
    known = [[step.elbo, step.evidence] for step in names["steps"]]
    assert len(told) == len(known) == 301
    assert torch.tensor(told)[:, ::2].numpy() == pytest.approx(torch.tensor(known).numpy(), abs=1e-6)
    assert told[-1][2] == pytest.approx(-180.1855, abs=1e-4)


def test_a_start_of_em_is_the_book_s():
    points = data_of("em")["sixty"]
    x = torch.tensor(points, dtype=torch.float64)
    start = random_start(x, 2, 0, covariance_floor=floor_for(x, None))
    told = call("models/mixture.js", "m.startAt(values.x, values.means)", {"x": points, "means": start.means.tolist()})
    assert told["weights"] == start.weights.tolist()
    for xx, xy, yy in told["covariances"]:
        known = torch.tensor([[xx, xy], [xy, yy]], dtype=torch.float64)
        assert_close(known, start.covariances[0], atol=1e-12, rtol=1e-12)


def test_em_stops_where_a_component_dies_or_collapses():
    dead = "(() => { try { m.mStep([[0, 0], [1, 2]], [[1, 0], [1, 0]], [0, 0]); } catch (e) { return e.message; } })()"
    assert call("models/mixture.js", dead) == "Component 2 has died: no data are left to it."
    flat = """(() => { try {
        m.eStep([[0, 0]], { weights: [1], means: [[0, 0]], covariances: [[1, 1, 1]] });
    } catch (e) { return e.message; } })()"""
    assert call("models/mixture.js", flat) == "Component 1 has collapsed onto too few points."


def test_gaussians_that_are_alike_or_have_no_width_left_are_noticed():
    told = call(
        "models/mixture.js",
        """(() => {
            const x = [[0, 0], [4, 0], [0, 2], [4, 2], [1, 1]], wide = [4, 0, 1];
            const least = m.floorFor(x), even = x.map(() => [0.3, 0.7]);
            const two = (means, covariances) => ({ weights: [0.5, 0.5], means, covariances });
            const thin = (covariance) => m.shrunk(x, two([[0, 0], [1, 1]], [wide, covariance]));
            return [
                m.areAlike(m.mStep(x, even, least)),
                m.areAlike(two([[0, 0], [0, 0.01]], [wide, wide])),
                m.areAlike(two([[0, 0], [0, 0]], [wide, [4, 0, 1.1]])),
                m.areAlike({ weights: [1], means: [[0, 0]], covariances: [wide] }),
                ...[wide, [least[0], 0, least[1]], [4, 2, 1 + 1e-7], [1e-9, 0, 1]].map(thin),
            ];
        })()""",
    )
    assert told == [True, False, False, False, None, "shrunk onto a point", "become flat", "become flat"]


def test_the_data_that_need_no_download_are_those_of_python():
    points = simulated_mixture(60, seed=3).train.double()
    assert_close(torch.tensor(data_of("em")["sixty"], dtype=torch.float64), points, atol=0.0051, rtol=0)


def test_every_figure_that_needs_data_has_them():
    assert {*figure_data.DATA, *figure_data.LATER} <= {*NAMES}
    assert all((bundle.FOLDER / "data" / f"{name}.json").is_file() for name in figure_data.DATA)
    assert all(bundle.later_of(name).is_file() for name in figure_data.LATER)
    assert all(bundle.still_of(name).is_file() and bundle.words_of(name) for name in NAMES)


def test_a_figure_in_a_state_has_a_picture_of_it_where_a_notebook_shows_it():
    states = [(name, state) for name in NAMES for state in figure_data.states_of(name)]
    assert ("em", "data=iris&start=chapter") in states
    for name, state in states:
        assert bundle.still_of(name, state).stem == bundle.picture_name(name, state), "python -m tools.figure_data"
        assert bundle.words_of(name, state) != bundle.words_of(name)
    assert bundle.still_of("em", "C=5") == bundle.still_of("em")


def test_random_numbers_are_normal_and_repeat():
    drawn = call(
        "numbers/random.js",
        "[7, 7, 8].map((seed) => { const r = m.random(seed); return Array.from({length: 4000}, () => r.normal()); })",
    )
    assert drawn[0] == drawn[1] != drawn[2]
    sample = torch.tensor(drawn[0])
    assert abs(sample.mean()) < 0.05
    assert abs(sample.std() - 1) < 0.04
    assert abs((sample.abs() > 1.96).float().mean() - 0.05) < 0.012


def test_the_colors_are_the_book_s():
    assert call("frame/colors.js", "m.PALETTE") == PALETTE
    assert call("frame/colors.js", "m.COMPONENTS") == [*COMPONENTS]
    assert call("frame/colors.js", "m.DIGITS.map((color) => color.toLowerCase())") == [
        to_hex(color) for color in plt.cm.tab10.colors
    ]


STATE = """(() => {
    const a = m.number(1, {low: 0, high: 2}), b = m.choice("x", ["x", "y"]);
    const kinds = { a, b, c: m.numbers([]), d: m.text("", /^E*$/) };
    const state = m.read(kinds, values);
    return [state, m.written(kinds, state)];
})()"""


@pytest.mark.parametrize(
    ("address", "state", "written"),
    [
        ("", {"a": 1, "b": "x", "c": [], "d": ""}, ""),
        ("a=0.25&b=y&c=1,-2.5&d=EE", {"a": 0.25, "b": "y", "c": [1, -2.5], "d": "EE"}, "a=0.25&b=y&c=1,-2.5&d=EE"),
        ("a=1.23456", {"a": 1.235, "b": "x", "c": [], "d": ""}, "a=1.235"),
        ("a=7", {"a": 2, "b": "x", "c": [], "d": ""}, "a=2"),
        ("a=much&b=z&c=1,one&d=EM&e=1&__proto__=1", {"a": 1, "b": "x", "c": [], "d": ""}, ""),
    ],
)
def test_an_address_tells_a_state(address, state, written):
    assert call("frame/state.js", STATE, address) == [state, written]


# The script


def modules(tmp_path, monkeypatch, **sources):
    """A folder of modules; a name has _ for /."""
    for name, source in {"frame/mount": "", **{n.replace("_", "/"): s for n, s in sources.items()}}.items():
        path = tmp_path / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    monkeypatch.setattr(bundle, "SOURCES", tmp_path)


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ({"figures_a": 'import { b } from "./b.js";\n'}, "no module figures/b.js in .*: figures/a.js imports it"),
        (
            {"figures_a": 'import { b } from "./b.js";\n', "figures_b": 'import { a } from "./a.js";\n'},
            "circle: figures/a.js → figures/b.js → figures/a.js",
        ),
        ({"figures_a": "export default 3;\n"}, 'has "export default 3;": a module may only'),
        ({"figures_a": 'import * as b from "./b.js";\n'}, 'has "import \\* as b'),
        ({"figures_a": 'import { b } from "../../b.js";\n'}, "lies outside"),
        (
            {"figures_a": 'import { c, b } from "./b.js";\n', "figures_b": "export const c = 1, b = 2;\n"},
            "figures/a.js imports b from figures/b.js, which does not export it: an export declares one name",
        ),
    ],
)
def test_what_the_bundle_does_not_understand_is_said(tmp_path, monkeypatch, sources, words):
    modules(tmp_path, monkeypatch, **sources)
    with pytest.raises(bundle.BundleError, match=words):
        bundle.bundle(["a"])


def test_a_bundle_has_each_module_once_and_no_comment(tmp_path, monkeypatch):
    shared = "/** Twice\n * wanted. */\nexport const one = 1; // kept\n  // left out\nexport function* two() {}\n"
    use = 'import {\n  one,\n  two,\n} from "../numbers/n.js";\n\nexport const a = one;\n'
    modules(tmp_path, monkeypatch, numbers_n=shared, figures_a=use, figures_b=use)
    script = bundle.bundle(["a", "b"])
    assert script.count("const one=1;") == 1
    assert not any(words in script for words in ("Twice", "kept", "left out"))
    assert 'const{one,two}=modules["numbers/n.js"];' in script
    assert "return{one,two};" in script


@pytest.mark.parametrize(
    ("source", "small"),
    [
        ("const a = 1; // one\nconst b = a  +  1;\n", "const a=1;const b=a+1;"),
        ("let a = 1\n\n/* two\n */ let b = a", "let a=1\nlet b=a"),
        ("f(\"a  // b\", '/* c */');", "f(\"a  // b\",'/* c */');"),
        ("a = b / c / d; // e", "a=b/c/d;"),
        ("a = b\n  / c / d;", "a=b\n/c/d;"),
        ('s.replace(/ "\\/[/"] /g, "  ");', 's.replace(/ "\\/[/"] /g,"  ");'),
        ("return / a /.test(b);", "return/ a /.test(b);"),
        ("a = b - -c + +d - e;", "a=b- -c+ +d-e;"),
        ("s = `a  // b ${c  +  `d  ${e}`}  \\` f`;  g();", "s=`a  // b ${c  +  `d  ${e}`}  \\` f`;g();"),
        ("if (a) {\n  b();\n}\nelse {\n  c();\n}\n", "if(a){b();}\nelse{c();}"),
    ],
)
def test_what_code_does_not_need_is_left_out_and_nothing_else(source, small):
    assert bundle.minified(source) == small


def test_the_bundle_of_a_figure_is_no_larger_than_it_needs():
    assert "klToPosterior" in bundle.bundle(["em"])
    assert 'modules["models/curve.js"]' not in bundle.bundle(["em"])


def check_types(folder):
    """Run the compiler of ``.ci/types``, or the one on the PATH, on the modules of a folder."""
    tsc = shutil.which("tsc", path=ROOT / ".ci" / "types" / "node_modules" / ".bin") or shutil.which("tsc")
    if tsc is None and os.environ.get("AEVB_REQUIRE_TYPES") != "1":
        pytest.skip("there is no TypeScript: npm ci --prefix .ci/types")
    assert tsc, "there is no TypeScript, and AEVB_REQUIRE_TYPES is set: npm ci --prefix .ci/types"
    check = [tsc, "-p", str(folder / "tsconfig.json")]
    return subprocess.run(check, capture_output=True, encoding="utf-8", check=False)


def test_the_types_are_right():
    run = check_types(bundle.FOLDER)
    assert run.returncode == 0, run.stdout


def test_a_wrong_type_is_seen(tmp_path):
    (tmp_path / "js").mkdir()
    shutil.copyfile(bundle.FOLDER / "tsconfig.json", tmp_path / "tsconfig.json")
    source = "/** @param {number} a @returns {string} */\nexport const f = (a) => a;\n"
    (tmp_path / "js" / "f.js").write_text(source, encoding="utf-8")
    run = check_types(tmp_path)
    assert run.returncode != 0
    assert "Type 'number' is not assignable to type 'string'" in run.stdout


# The figure in Python


class Page(HTMLParser):
    """The tags of a page, and what its scripts hold."""

    def __init__(self, page):
        super().__init__()
        self.opened, self.tags, self.scripts = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "img":
            self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        if self.opened and self.opened[-1] == "script":
            self.scripts.append(data)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_html_that_asks_for_nothing(name):
    page = Page(ComputingFigure(name, caption="A < B", mean=0.5)._repr_html_())
    assert page.opened == []
    host = dict(page.tags)["div"]
    assert host["data-figure"] == name
    assert host["data-state"] == "mean=0.5"
    assert json.loads(page.scripts[0]) == data_of(name)
    image = dict(page.tags)["img"]
    assert image["src"].startswith("data:image/png;base64,")
    assert image["alt"]
    assert not re.search(r"https?://(?!www\.w3\.org/)", "".join(page.scripts))


def test_a_figure_has_a_picture_for_where_no_script_runs():
    assert ComputingFigure("be_q")._repr_png_().startswith(b"\x89PNG")


def test_a_figure_that_is_not_there_is_said():
    with pytest.raises(ValueError, match=f"no figure 'be_p' that computes: it is one of {', '.join(NAMES)}"):
        ComputingFigure("be_p")
