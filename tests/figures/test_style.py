"""The book's figure style and shared pictures."""

import io
import itertools
import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb

from aevb_utils.figures import (
    COMPONENTS,
    PALETTE,
    STYLE,
    covariance_ellipse,
    evidence_bar,
    responsibility_colors,
    style,
    use_style,
)

MEAN = torch.tensor([1.0, -2.0])
COVARIANCES = {
    "correlated": [[4.0, 1.5], [1.5, 1.0]],
    "against": [[1.0, -0.8], [-0.8, 2.0]],
    "wide": [[9.0, 0.0], [0.0, 1.0]],
    "tall": [[1.0, 0.0], [0.0, 9.0]],
    "round": [[2.0, 0.0], [0.0, 2.0]],
}


@pytest.fixture(autouse=True)
def restored_style():
    """Settings and figures as they were."""
    with mpl.rc_context():
        yield
    plt.close("all")


@pytest.fixture
def ax():
    return plt.figure().add_subplot()


def outline(ellipse):
    """Points of an ellipse as they are drawn, in data coordinates, shape (P, 2)."""
    unit = np.linspace(0, 2 * math.pi, 50)
    return ellipse.get_patch_transform().transform(np.stack([np.cos(unit), np.sin(unit)], axis=1))


@pytest.mark.parametrize("covariance", COVARIANCES.values(), ids=COVARIANCES)
def test_ellipse_points_lie_at_their_mahalanobis_distance(ax, covariance):
    covariance_ellipse(ax, MEAN, torch.tensor(covariance, requires_grad=True), color="#332288", radii=(0.5, 2.0, 3.0))
    assert len(ax.patches) == 3
    for radius, ellipse in zip((0.5, 2.0, 3.0), ax.patches, strict=True):
        away = outline(ellipse) - MEAN.numpy()
        distance = np.sqrt(np.einsum("pd,de,pe->p", away, np.linalg.inv(covariance), away))
        np.testing.assert_allclose(distance, radius, rtol=1e-5)


def test_ellipse_lines_labels_and_default_radii(ax):
    covariance_ellipse(ax, MEAN, torch.eye(2), color="#332288", radii=(2.0, 1.0), label="q")
    inner, outer = ax.patches
    assert inner.get_width() == pytest.approx(2.0)
    assert outer.get_width() == pytest.approx(4.0)
    assert ax.get_legend_handles_labels()[1] == ["q"]  # one entry for all contours
    assert {to_hex(inner.get_edgecolor()), to_hex(outer.get_edgecolor())} == {"#332288"}
    assert not inner.get_fill()
    assert not outer.get_fill()
    covariance_ellipse(ax, MEAN, torch.eye(2), color="#332288")
    assert [patch.get_width() for patch in ax.patches[2:]] == pytest.approx([2.0, 4.0])


@pytest.mark.parametrize(
    ("mean", "covariance"),
    [(torch.zeros(3), torch.eye(3)), (torch.zeros(2), torch.ones(2)), (torch.zeros(1, 2), torch.eye(2))],
)
def test_ellipse_says_what_it_needs(ax, mean, covariance):
    with pytest.raises(
        ValueError, match=r"An ellipse needs a mean of shape \(2,\).*pick two dimensions first"
    ) as error:
        covariance_ellipse(ax, mean, covariance, color="black")
    assert f"{tuple(mean.shape)} and {tuple(covariance.shape)}" in str(error.value)
    assert not ax.patches


def test_responsibilities_mix_the_components_colors():
    r = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.25, 0.75, 0.0]], requires_grad=True)
    colors = responsibility_colors(r)
    assert colors.shape == (4, 3)
    np.testing.assert_allclose(colors[:3], [to_rgb(color) for color in COMPONENTS[:3]], rtol=1e-6)
    mixed = 0.25 * np.array(to_rgb(COMPONENTS[0])) + 0.75 * np.array(to_rgb(COMPONENTS[1]))
    np.testing.assert_allclose(colors[3], mixed, rtol=1e-6)


def test_responsibility_colors_stay_colors():
    rounded = torch.full((1, 6), 1 / 6) + 1e-7
    white = responsibility_colors(rounded * 20)  # far outside what rows that sum to one give
    assert white.max() <= 1.0
    many = responsibility_colors(torch.eye(len(COMPONENTS) + 2))  # more components than colors
    np.testing.assert_array_equal(many[-2:], many[:2])


def relative_luminance(color):
    """How light a color is, by the web's accessibility rules (WCAG 2), from 0 (black) to 1 (white)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("colors", [tuple(PALETTE.values()), COMPONENTS], ids=["palette", "components"])
def test_colors_are_distinct(colors):
    assert all(to_hex(color) == color.lower() for color in colors)
    for a, b in itertools.combinations(colors, 2):
        assert math.dist(to_rgb(a), to_rgb(b)) > 0.15, f"{a} and {b} look alike"
    assert all(relative_luminance(color) < 0.6 for color in colors), "too pale on a white page"


def test_palette_names_what_the_book_draws():
    assert set(PALETTE) == {"evidence", "elbo", "kl", "prior", "posterior", "q", "data"}


def test_style_is_set():
    mpl.rcdefaults()
    assert mpl.rcParams["svg.hashsalt"] != STYLE["svg.hashsalt"]
    use_style()
    for name, value in STYLE.items():
        if name == "figure.figsize":
            value = list(value)
        if name == "font.family":
            value = [value]
        assert mpl.rcParams[name] == value, name


def test_style_draws_svg_without_date_in_a_notebook(monkeypatch):
    calls = []
    monkeypatch.setattr(style, "set_matplotlib_formats", lambda *formats, **options: calls.append((formats, options)))
    monkeypatch.setattr(style, "get_ipython", lambda: None)
    use_style()
    assert calls == []
    monkeypatch.setattr(style, "get_ipython", object)
    use_style()
    assert calls == [(("svg",), {"metadata": {"Date": None, "Creator": None}})]


def drawn_as_svg():
    """A figure with clipped lines, markers and text, as the notebooks store it."""
    fig, ax = plt.subplots()
    ax.plot([0, 1, 2], [0, 5, 1], marker="o", label="line")
    ax.scatter([0, 1], [1, 2], c=["#332288", "#CC6677"])
    ax.set(xlim=(0, 1), title="a title")
    ax.legend()
    buffer = io.BytesIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def test_the_same_figure_gives_the_same_bytes():
    use_style()
    assert drawn_as_svg() == drawn_as_svg()


def test_evidence_is_elbo_plus_kl_on_the_bar(ax):
    evidence_bar(ax, -300.0, -250.0, limits=(-560.0, -150.0))
    (kl,) = ax.patches
    assert (kl.get_x(), kl.get_x() + kl.get_width()) == (-300.0, -250.0)
    elbo, evidence = ax.lines
    assert (list(elbo.get_xdata()), list(evidence.get_xdata())) == ([-300.0], [-250.0, -250.0])
    colors = [to_hex(color) for color in (kl.get_facecolor(), elbo.get_color(), evidence.get_color())]
    assert colors == [PALETTE[name].lower() for name in ("kl", "elbo", "evidence")]
    assert ax.get_xlim() == (-560.0, -150.0)
    assert ax.get_xlabel() == "nats"
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"ELBO", "KL", "evidence"}
