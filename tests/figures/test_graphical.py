"""Graphical models and flow charts: an arrow ends at an edge and touches nothing else, plates hold what they name."""

import itertools

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon

from aevb_utils.figures import PALETTE, Gradient, Plate, flow_chart, graphical_model
from aevb_utils.figures.diagram import UNIT, WORDS, size_of
from aevb_utils.figures.viewer import as_svg

DATA = r"$i = 1, \ldots, N$"
Z, X = {"z": (0, 1, r"$z_i$")}, {"x": (0, 0, r"$x_i$")}
THETA, PHI = {"theta": (1, 0, r"$\theta$")}, {"phi": (-1, 1, r"$\phi$")}

MODELS = {
    "mixture": {
        "nodes": {"pi": (0, 2, r"$\pi$"), **Z, **X, "mu": (1.1, 0.3, r"$\mu_c, \Sigma_c$")},
        "edges": [("pi", "z", "x"), ("mu", "x")],
        "observed": {"x"},
        "parameters": {"pi", "mu"},
        "plates": [Plate({"z", "x"}, DATA), Plate({"mu"}, r"$c = 1, \ldots, C$")],
    },
    "vae": {
        "nodes": Z | X | THETA | PHI,
        "edges": [("theta", "x"), ("z", "x")],
        "q_edges": [("phi", "z"), ("x", "z")],
        "observed": {"x"},
        "parameters": {"theta", "phi"},
        "plates": [Plate({"z", "x"}, DATA)],
    },
    "two latents": {
        "nodes": {"c": (0, 2, r"$c_i$"), **Z, **X},
        "edges": [("c", "z", "x")],
        "q_edges": [("x", "z"), ("x", "c"), ("c", "z")],
        "observed": {"x"},
        "plates": [Plate({"c", "z", "x"}, DATA)],
    },
    "recurrent": {
        "nodes": {"h": (0, 1, r"$h_{t-1}$"), "n": (2.4, 1, "$h_t$"), "z": (1.2, 2, "$z_t$"), "x": (1.2, 0, "$x_t$")},
        "edges": [("h", "z", "n"), ("h", "x", "n"), ("h", "n"), ("z", "x")],
        "q_edges": [("h", "z"), ("x", "z")],
        "observed": {"x"},
        "deterministic": {"h", "n"},
    },
    "nested": {
        "nodes": {**Z, "x": (1.2, 1, "$x_{ij}$")},
        "edges": [("z", "x")],
        "plates": [Plate({"z", "x"}, DATA), Plate({"x"}, r"$j = 1, \ldots, n_i$")],
    },
    "crossed": {
        "nodes": {"z": (0, 0, "$z_i$"), "x": (1.3, 0, "$x_{ij}$"), "b": (1.3, 1.1, "$b_j$")},
        "edges": [("z", "x"), ("b", "x")],
        "plates": [Plate({"z", "x"}, DATA, "lower left"), Plate({"x", "b"}, r"$j = 1, \ldots, J$", "upper right")],
    },
}
every_model = pytest.mark.parametrize("name", MODELS)


def drawn(figure, kind):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, kind)]


def places(model):
    return {name: np.array([x, y]) for name, (x, y, _) in model["nodes"].items()}


def box(patch):
    """Left, bottom, right and top of a plate or a box."""
    return np.array(
        [patch.get_x(), patch.get_y(), patch.get_x() + patch.get_width(), patch.get_y() + patch.get_height()]
    )


def path_in_units(figure, arrow):
    """Points along an arrow from edge to edge, without its head."""
    figure.draw_without_rendering()
    (line, *_), _ = arrow._get_path_in_displaycoord()
    a, b, c = line.vertices  # a parabola's ends, and what it bends to
    t = np.linspace(0, 1, 41)[:, None]
    return figure.axes[0].transData.inverted().transform((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c)


def arrows_with_ends(figure, model):
    """Each arrow with the names of what it joins."""
    pairs = [pair for kind in ("edges", "q_edges") for path in model.get(kind, ()) for pair in itertools.pairwise(path)]
    return list(zip(drawn(figure, FancyArrowPatch), pairs, strict=True))


@every_model
def test_arrows_end_at_edges_and_keep_off_other_nodes(name):
    model = MODELS[name]
    figure = graphical_model(**model)
    radius = dict.fromkeys(model["nodes"], 0.27)
    radius |= dict.fromkeys(model.get("parameters", ()), 0.12) | dict.fromkeys(model.get("deterministic", ()), 0.24)
    for arrow, pair in arrows_with_ends(figure, model):
        points = path_in_units(figure, arrow)
        for node, place in places(model).items():
            nearest = np.linalg.norm(points - place, axis=1).min()
            assert nearest > radius[node], (pair, node)
        for node, end in zip(pair, (points[0], points[-1]), strict=True):
            assert np.linalg.norm(end - places(model)[node]) < 0.45, (pair, node)


@every_model
def test_text_stays_inside_its_picture_and_apart(name):
    figure = graphical_model(**MODELS[name])
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    frame = figure.bbox
    assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 and frame.y0 <= b.y0 and b.y1 <= frame.y1 for b in boxes)
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


@every_model
def test_a_unit_has_one_length_in_every_picture(name):
    figure = graphical_model(**MODELS[name])
    (ax,) = figure.axes
    width, height = figure.get_size_inches()
    assert width / np.diff(ax.get_xlim()) == pytest.approx(UNIT)
    assert height / np.diff(ax.get_ylim()) == pytest.approx(UNIT)


@every_model
def test_plates_hold_their_nodes_and_no_others(name):
    model = MODELS[name]
    plates = drawn(graphical_model(**model), FancyBboxPatch)
    for plate, patch in zip(model.get("plates", ()), plates, strict=True):
        left, bottom, right, top = box(patch)
        for node, (x, y) in places(model).items():
            inside = left < x - 0.28 and x + 0.28 < right and bottom < y - 0.28 and y + 0.28 < top
            outside = x + 0.1 < left or right < x - 0.1 or y + 0.1 < bottom or top < y - 0.1
            assert inside if node in plate.names else outside, (plate.label, node)


def test_a_plate_around_another_holds_it():
    outer, inner = map(box, drawn(graphical_model(**MODELS["nested"]), FancyBboxPatch))
    assert (np.sign(inner - outer) == [1, 1, -1, -1]).all()


def test_crossed_plates_share_no_border():
    first, second = map(box, drawn(graphical_model(**MODELS["crossed"]), FancyBboxPatch))
    assert (abs(first - second) > 0.05).all()


def test_a_plate_is_as_wide_as_its_label():
    label = r"$i = 1, \ldots, N_{\mathrm{train}} + N_{\mathrm{test}}$"
    (patch,) = drawn(graphical_model(X, [], plates=[Plate({"x"}, label)]), FancyBboxPatch)
    assert patch.get_width() > size_of(label, WORDS)[0]


def test_what_is_drawn_says_what_it_is():
    figure = graphical_model(**MODELS["vae"])
    z, x, theta, phi = drawn(figure, Circle)
    assert to_hex(z.get_facecolor()) == "#ffffff" != to_hex(x.get_facecolor())
    assert (z.get_visible(), theta.get_visible(), phi.get_visible()) == (True, False, False)
    purple = PALETTE["q"].lower()
    texts = {text.get_text(): to_hex(text.get_color()) for text in figure.axes[0].texts}
    assert texts[r"$\phi$"] == purple != texts[r"$\theta$"]
    arrows = drawn(figure, FancyArrowPatch)
    assert [to_hex(arrow.get_edgecolor()) == purple for arrow in arrows] == [False, False, True, True]
    assert [arrow.get_linestyle() == "-" for arrow in arrows] == [True, True, False, False]
    assert len(drawn(graphical_model(**MODELS["recurrent"]), Polygon)) == 2


def test_dots_have_no_circle():
    figure = graphical_model({"a": (0, 0, r"$\cdots$"), "z": (1, 0, "$z$")}, [("a", "z")])
    assert [circle.get_visible() for circle in drawn(figure, Circle)] == [False, True]


def test_two_arrows_between_two_nodes_are_apart():
    figure = graphical_model(Z | X, [("z", "x")], [("x", "z"), ("x", "z")])
    middles = [path_in_units(figure, arrow) for arrow in drawn(figure, FancyArrowPatch)]
    at = [points[np.abs(points[:, 1] - 0.5).argmin(), 0] for points in middles]
    assert min(abs(a - b) for i, a in enumerate(at) for b in at[:i]) > 0.1


def test_picture_does_not_depend_on_the_callers_style():
    plain = as_svg(graphical_model(**MODELS["vae"]))
    with mpl.rc_context(
        {"font.size": 30, "figure.dpi": 300, "mathtext.fontset": "cm", "axes.grid": True, "text.color": "r"}
    ):
        figure = graphical_model(**MODELS["vae"])
    assert as_svg(figure) == plain


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nodes": {}}, "nothing is declared"),
        ({"nodes": Z | {"x": (0, 1, "$x$")}}, r"'z' and 'x' are both at \(0, 1\)"),
        ({"edges": [("z", "y")]}, "The arrows name 'y', which is not declared: there are 'z', 'x'"),
        ({"q_edges": [("y", "z")]}, "The arrows name 'y'"),
        ({"edges": ["zx"]}, r"An arrow needs two names or more, not 'zx': write it as \('z', 'x'\)"),
        ({"edges": [("z",)]}, "An arrow needs two names or more"),
        ({"edges": [("z", "z")]}, "leads from 'z' to itself"),
        ({"observed": {"y"}}, "The kinds of nodes name 'y'"),
        ({"plates": [Plate({"y"}, DATA)]}, "The plates name 'y'"),
        ({"plates": [Plate((), DATA)]}, "A plate needs a collection of names"),
        ({"plates": [Plate("z", DATA)]}, "A plate needs a collection of names, not 'z'"),
        ({"plates": [Plate({"z"}, DATA, "middle")]}, "A plate's corner is one of lower right, .*not 'middle'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(changes, message):
    with pytest.raises(ValueError, match=message):
        graphical_model(**{"nodes": Z | X, "edges": [("z", "x")]} | changes)


# Flow charts

STEP = {
    "x": (0, 0, "$x_i$"), "encoder": (1.15, 0, "encoder\n$f_\\phi$"), "q": (2.35, 0, "$m, s$"), "z": (3.45, 0, "$z$"),
    "eps": (3.45, 1, r"$\epsilon$"), "decoder": (4.6, 0, "decoder\n$\\theta$"), "p": (6, 0, r"$p_\theta(x_i \mid z)$"),
}  # fmt: skip
AEVB = {
    "steps": STEP,
    "arrows": [("x", "encoder", "q", "z", "decoder", "p"), ("eps", "z")],
    "gradients": [Gradient("p", "decoder", r"gradient for $\theta$"), Gradient("p", "encoder", r"gradient for $\phi$")],
    "boxes": {"encoder", "decoder"},
    "random": {"eps"},
}


def test_a_flow_chart_has_its_arrows_and_gradients_apart_from_text():
    figure = flow_chart(**AEVB)
    figure.draw_without_rendering()
    arrows = drawn(figure, FancyArrowPatch)
    assert [to_hex(arrow.get_edgecolor()) == PALETTE["elbo"].lower() for arrow in arrows] == [False] * 6 + [True] * 2
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    assert all(figure.bbox.x0 <= b.x0 and b.x1 <= figure.bbox.x1 and b.y1 <= figure.bbox.y1 for b in boxes)
    for patch in drawn(figure, FancyBboxPatch):
        cover = patch.get_window_extent()
        assert not [
            t for t in figure.axes[0].texts if "gradient" in t.get_text() and t.get_window_extent().overlaps(cover)
        ]


def test_kinds_of_steps_are_told_apart():
    figure = flow_chart(**AEVB)
    assert [patch.get_visible() for patch in drawn(figure, FancyBboxPatch)] == [False, True, False, False, True, False]
    assert len(drawn(figure, Circle)) == 1


def test_a_gradient_that_is_blocked_is_crossed_out():
    steps = {"phi": (0, 0, r"$\phi$"), "z": (1.2, 0, "$z$")}
    through, blocked = (
        flow_chart(steps, [("phi", "z")], [Gradient("z", "phi", "gradient", blocked=b)]) for b in (False, True)
    )
    assert (len(through.axes[0].lines), len(blocked.axes[0].lines)) == (0, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": {}}, "nothing is declared"),
        ({"arrows": [("x", "y")]}, "The arrows name 'y'"),
        ({"gradients": [Gradient("p", "y")]}, "The gradients name 'y'"),
        ({"gradients": [Gradient("p", "p")]}, "leads from 'p' to itself"),
        ({"random": {"y"}}, "The kinds of steps name 'y'"),
    ],
)
def test_a_flow_chart_that_cannot_be_drawn_is_refused_in_a_sentence(changes, message):
    with pytest.raises(ValueError, match=message):
        flow_chart(**AEVB | changes)
