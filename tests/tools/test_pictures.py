"""The PNG beside every stored figure."""

import base64
import io
import json
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from small_notebooks import NEW, notebook_of

from aevb_utils.figures import Viewer
from aevb_utils.figures.viewer import as_svg
from tools.figure_outputs import FIGURE
from tools.notebooks import CHAPTERS, PAGES, code_cells, read
from tools.pictures import COLORS, SCALE, PictureError, add_pictures, picture_of, render, size

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="60pt" height="30pt" viewBox="0 0 60 30">{}</svg>'
OBJECT = re.compile(r"<Figure |<Viewer: |<[\w.]+ object")
"""What stands for a figure, or another thing to see, where nothing else may be shown."""
every_notebook = pytest.mark.parametrize("path", [*PAGES, *CHAPTERS], ids=lambda path: path.stem)


def pixels(png: bytes) -> np.ndarray:
    """A picture's pixels, shape (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def shown_by(*bundles: dict) -> list:
    """The outputs of a cell that shows these, after pictures were added."""
    notebook = notebook_of("show()")
    notebook.cells[0].outputs = [NEW.new_output("display_data", bundle) for bundle in bundles]
    add_pictures(notebook)
    return notebook.cells[0].outputs


# The stored ones


@every_notebook
def test_every_stored_figure_and_viewer_has_a_picture_of_its_size(path):
    outputs = [output for cell in code_cells(read(path)) for output in cell.outputs]
    for output in outputs:
        if (svg := picture_of(output)) is None:
            shown = output.get("data", {})
            assert "image/png" not in shown or FIGURE.search(shown.get("text/html", ""))
            continue
        width, height = size(svg)
        assert output.metadata["image/png"] == {"width": width, "height": height}
        picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
        assert picture.size == pytest.approx((SCALE * width, SCALE * height), abs=1.5)
        assert len(picture.getcolors()) > 2, "it is blank"


@every_notebook
def test_every_stored_output_shows_where_nothing_is_trusted(path):
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            shown = {"image/png", "text/html", "text/markdown"} & set(output.get("data", {}))
            plain = output.text if output.output_type == "stream" else output.data["text/plain"]
            assert shown or not OBJECT.search(plain), f"{cell.source}\nwould show {plain!r}"


def test_a_stored_picture_is_what_its_svg_gives():
    outputs = [output for cell in code_cells(read(CHAPTERS[0])) for output in cell.outputs if picture_of(output)]
    for output in outputs:
        stored, drawn = pixels(base64.b64decode(output.data["image/png"])), pixels(render(picture_of(output)))
        assert np.abs(stored.astype(float) - drawn).mean() < 0.5  # another version may round otherwise


# How they are made


def test_a_planted_figure():
    square = SVG.format('<rect x="30" y="0" width="30" height="30" fill="#0072B2"/>')
    (output,) = shown_by({"image/svg+xml": square, "text/plain": "<Figure>"})
    assert output.data["image/svg+xml"] == square
    assert output.metadata == {"image/png": {"width": 80, "height": 40}}
    picture = pixels(base64.b64decode(output.data["image/png"]))
    assert picture.shape == (60, 120, 3)
    assert (picture[:, :59] == 255).all(), "what is not drawn is white"
    assert np.abs(picture[:, 61:].astype(int) - [0x00, 0x72, 0xB2]).max() <= 8


def test_a_viewer_gets_a_picture_of_its_first_frame():
    frames = [SVG.format(f'<rect width="60" height="30" fill="{color}"/>') for color in ("#000000", "#ffffff")]
    page = Viewer(tuple(frames), ("black", "white"), (("color", ("0", "1")),), "A caption.")._repr_html_()
    (output,) = shown_by({"text/html": page, "text/plain": "<Viewer: 2 frames>"})
    assert output.data["text/html"] == page
    assert base64.b64decode(output.data["image/png"]) == render(frames[0]) != render(frames[1])


def test_what_shows_by_itself_gets_none():
    bundles = [{"text/html": "<table></table>", "text/plain": "a table"}, {"text/plain": "42"}]
    outputs = shown_by(*bundles)
    assert [output.data for output in outputs] == bundles
    assert [output.metadata for output in outputs] == [{}, {}]


@pytest.mark.parametrize("fonttype", ["none", "path"])
def test_text_is_drawn_as_text_and_as_paths(fonttype):
    figure = plt.figure(figsize=(3, 1))
    figure.text(0.1, 0.4, r"Words and $\theta_1$", fontsize=20)
    svg = as_svg(figure) if fonttype == "none" else path_svg(figure)
    plt.close(figure)
    assert ("<text" in svg) == (fonttype == "none")
    dark = (pixels(render(svg)) < 100).all(axis=2)
    assert dark.mean() > 0.02
    columns = np.flatnonzero(dark.any(axis=0))
    assert columns[-1] - columns[0] > 150, "the line of words is as long as it should be"


def path_svg(figure: plt.Figure) -> str:
    """A figure as notebooks store it, with letters as paths."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def test_the_fonts_of_the_machine_do_not_matter():
    """Where a font that matplotlib does not have is asked for first, its own stands in."""
    words = '<text x="2" y="20" style="font: 12px \'{}\', \'DejaVu Sans\', sans-serif">Words</text>'
    one, other = (render(SVG.format(words.format(name))) for name in ("Liberation Sans", "No Such Font"))
    assert one == other
    assert (pixels(one) < 100).any()


def test_the_same_figure_gives_the_same_bytes():
    frame = as_svg(plt.figure(figsize=(1, 1)))
    assert render(frame) == render(frame)
    notebook = read(PAGES[0])
    add_pictures(notebook)
    once = json.dumps(notebook)
    add_pictures(notebook)
    assert json.dumps(notebook) == once


def test_few_colors_and_a_background_that_is_white():
    stops = '<linearGradient id="g"><stop offset="0" stop-color="red"/><stop offset="1" stop-color="blue"/>'
    svg = SVG.format(f'{stops}</linearGradient><rect x="20" width="40" height="30" fill="url(#g)"/>')
    picture = pixels(render(svg))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) <= COLORS
    assert (picture[:, :39] == 255).all()


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ('<svg width="72pt" height="36pt"', (96, 48)),
        ('<svg xmlns="a" width="72" height="36.4"', (72, 36)),
        ('<?xml version="1.0"?>\n<svg\n width="1in" height="0.5in"', (96, 48)),
        ('<svg stroke-width="3" width="10px" height="20px"', (10, 20)),
    ],
)
def test_the_size_that_an_svg_says(start, expected):
    assert size(f"{start}></svg>") == expected


@pytest.mark.parametrize(
    "svg",
    ['<svg width="10" height="20"><rect></svg>', '<svg width="10em" height="20em"/>', "<svg/>", "", "no picture"],
)
def test_a_broken_figure_is_named(svg):
    with pytest.raises(PictureError, match=r"The notebook, in the cell 'cell-0' \('show\(\)'\), shows a figure"):
        shown_by({"image/svg+xml": svg})
