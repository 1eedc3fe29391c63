"""The viewer that needs no kernel, and its live twin."""

import base64
import gzip
import itertools
import json
import re
from html.parser import HTMLParser
from importlib import import_module
from xml.etree import ElementTree

import ipywidgets
import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from aevb_utils.figures import MAX_FRAMES, Viewer, live, use_style, viewer

module, live_module = (import_module(f"aevb_utils.figures.{name}") for name in ("viewer", "live"))
VOID = {"img", "input", "br"}
XML_NAMESPACES = ("http://www.w3.org/", "http://purl.org/dc/", "http://creativecommons.org/ns#")


@pytest.fixture(autouse=True)
def book_style(monkeypatch):
    """The book's style and full budget for the test, all figures closed after it."""
    monkeypatch.setattr(module, "budget", lambda *, full, fast: full)
    with mpl.rc_context():
        use_style()
        yield
    plt.close("all")


def draw(**values):
    """A figure that says its values."""
    fig, ax = plt.subplots(figsize=(2, 1.5))
    ax.plot([0, 1])
    ax.set_title("drawn " + " ".join(f"{name}={value}" for name, value in values.items()))
    return fig


def describe(**values):
    return "alt " + " ".join(f"{name}={value}" for name, value in values.items())


def example(**sliders):
    return viewer(draw, sliders or {"k": [0, 1, 2]}, alt=describe, caption="A caption.")


def test_in_the_fast_run_every_slider_has_its_two_ends(monkeypatch):
    monkeypatch.setattr(module, "budget", lambda *, full, fast: fast)
    shown = example(k=range(5), name=["a", "b", "c"], alone=(0,))
    assert shown.sliders == (("k", ("0", "4")), ("name", ("a", "c")), ("alone", ("0",)))
    assert len(shown.frames) == len(shown.alts) == 4
    assert shown.alts[-1] == "alt k=4 name=c alone=0"


class Page(HTMLParser):
    """Parses HTML strictly: every element closed, in order; keeps elements, attributes and text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.text = [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"an attribute of {tag} stands twice"
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.setdefault(self.open[-1] if self.open else None, []).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def payload(page):
    """What the viewer's script unpacks."""
    packed, _script = page.text["script"]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def first_image(page):
    (image,) = page.all("img")
    kind, _, data = image["src"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(data).decode()


def test_frames_are_in_row_major_order_of_the_sliders():
    made = example(a=[1, 2, 3], b=["x", "y"])
    settings = list(itertools.product([1, 2, 3], ["x", "y"]))
    assert len(made.frames) == len(made.alts) == 6
    for frame, alt, (a, b) in zip(made.frames, made.alts, settings, strict=True):
        assert f"drawn a={a} b={b}<" in frame
        assert alt == f"alt a={a} b={b}"
    assert made.sliders == (("a", ("1", "2", "3")), ("b", ("x", "y")))


def test_positions_are_labeled_in_the_caller_s_words():
    made = viewer(draw, {"k": [0, 5]}, alt=describe, caption="", label=lambda k: f"iteration {k}")
    assert made.sliders == (("k", ("iteration 0", "iteration 5")),)
    assert payload(Page(made._repr_html_()))["labels"] == [["iteration 0", "iteration 5"]]


def test_frames_are_svg_with_real_text():
    for frame in example().frames:
        root = ElementTree.fromstring(frame)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "<text" in frame
        assert "date" not in frame


@pytest.mark.parametrize(
    ("sliders", "sentence"),
    [
        ({"a": range(65)}, "not 1 sliders and 65 frames"),
        ({"a": range(5), "b": range(13)}, "not 2 sliders and 65 frames"),
        ({"a": [1], "b": [1], "c": [1], "d": [1]}, "not 4 sliders and 1 frames"),
        ({"a": []}, "not 1 sliders and 0 frames"),
        ({"a": [1, 2], "b": []}, "not 2 sliders and 0 frames"),
        ({}, "not 0 sliders and 1 frames"),
    ],
)
def test_too_many_frames_are_an_error_before_any_is_drawn(sliders, sentence):
    drawn = []
    with pytest.raises(ValueError, match=f"one to three sliders and 1 to 64 frames, {sentence}: pass fewer values"):
        viewer(lambda **values: drawn.append(values), sliders, alt=describe, caption="")
    assert drawn == []


def test_as_many_frames_as_allowed(monkeypatch):
    monkeypatch.setattr(module, "as_svg", lambda figure: f"<svg>{figure}</svg>")
    made = viewer(lambda a, b: a * 8 + b, {"a": range(8), "b": range(8)}, alt=describe, caption="")
    assert made.frames == tuple(f"<svg>{i}</svg>" for i in range(MAX_FRAMES))
    assert MAX_FRAMES == 64


def test_figures_are_closed():
    kept = plt.figure()
    example(a=[1, 2], b=[1, 2])
    assert plt.get_fignums() == [kept.number]


def test_html_is_well_formed_and_labeled():
    page = Page(example(a=[1, 2, 3], b=["x", "y"])._repr_html_())
    (figure,) = page.all("figure")
    assert figure["class"] == "aevb-viewer"
    (image,) = page.all("img")
    assert image["alt"] == "alt a=1 b=x"
    assert "drawn a=1 b=x<" in first_image(page)
    assert page.text["figcaption"] == ["A caption."]


def test_where_no_script_runs_a_sentence_stands_for_the_controls():
    page = Page(example(a=[1, 2, 3], b=["x", "y"])._repr_html_())
    (sentence,) = page.all("p")
    assert sentence == {"class": "aevb-still"}
    assert page.text["p"] == [module.WITHOUT_SCRIPT]
    assert not {"input", "button", "label"} & {tag for tag, _ in page.elements}, "a control that does nothing"


def test_the_script_puts_the_controls_in_the_sentence_s_place():
    script = Page(example()._repr_html_()).text["script"][1]
    assert "querySelector('.aevb-still').replaceWith(make('div', {class: 'aevb-controls'}, button, ...rows))" in script
    assert "innerHTML" not in script, "what a caller says is text"


def test_payload_holds_all_frames():
    made = example(a=[1, 2, 3], b=["x", "y"])
    assert payload(Page(made._repr_html_())) == {
        "frames": list(made.frames),
        "alts": list(made.alts),
        "names": ["a", "b"],
        "labels": [["1", "2", "3"], ["x", "y"]],
    }


def test_words_with_marks_are_escaped():
    nasty = "<b> & \"q\" 'p' </script>"
    made = Viewer(frames=("<svg/>",), alts=(nasty,), sliders=((nasty, (nasty,)),), caption=nasty)
    page = Page(made._repr_html_())
    assert page.all("img")[0]["alt"] == nasty
    assert page.text["figcaption"] == [nasty]
    unpacked = payload(page)
    assert (unpacked["alts"], unpacked["names"], unpacked["labels"]) == ([nasty], [nasty], [[nasty]])
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert not page.all("b")


def test_the_script_finds_its_own_viewer():
    one, other = example(k=[0, 1])._repr_html_(), example(k=[0, 2])._repr_html_()
    keys = []
    for text in (one, other):
        (figure,) = Page(text).all("figure")
        keys.append(figure["data-viewer"])
        assert f'[data-viewer="{keys[-1]}"]' in text
        assert "KEY" not in Page(text).text["script"][1]
    assert keys[0] != keys[1]


def test_the_same_viewer_gives_the_same_html():
    assert example(a=[1, 2], b=[3, 4])._repr_html_() == example(a=[1, 2], b=[3, 4])._repr_html_()


def test_nothing_is_loaded_from_outside():
    made = example(a=[1, 2], b=[3, 4])
    text = made._repr_html_()
    page = Page(text)
    readable = re.sub(r"[A-Za-z0-9+/=]{200,}", "", text)  # without base64, which is unpacked below
    assert not re.search(r"https?:|//\w|@import|url\(", readable)
    assert not {"link", "iframe", "object", "embed"} & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert name not in {"href", "srcset", "action"}
            if name == "src":
                assert tag == "img"
                assert value.startswith("data:")
    for svg in (first_image(page), *payload(page)["frames"]):
        assert all(url.startswith(XML_NAMESPACES) for url in re.findall(r"\w+://[^\s\"'<>)]*", svg))
        for element in ElementTree.fromstring(svg).iter():
            assert element.tag.rpartition("}")[2] not in {"script", "image", "foreignObject"}
            for name, value in element.attrib.items():
                outside = re.findall(r"url\((?!#)|@import", value)
                assert not outside
                assert value.startswith("#") or not name.endswith("href")


def test_the_notebook_s_text_is_short():
    assert repr(example()) == "<Viewer: 3 frames>"


@pytest.fixture
def shown(monkeypatch):
    """What a cell would display."""
    objects = []
    monkeypatch.setattr(live_module, "display", objects.append)
    return objects


def picture_of(box):
    *_, picture = box.children
    data = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', picture.value)
    return base64.b64decode(data[1]).decode()


def test_live_sliders(shown):
    live(draw, seed=(0, 20, 1, 4), width=(0.5, 2.0, 0.25, 1.0))
    (box,) = shown
    *sliders, picture = box.children
    assert isinstance(picture, ipywidgets.HTML)
    assert [(s.description, s.min, s.max, s.step, s.value) for s in sliders] == [
        ("seed", 0, 20, 1, 4),
        ("width", 0.5, 2.0, 0.25, 1.0),
    ]
    assert "drawn seed=4 width=1.0<" in picture_of(box)


def test_a_moved_live_slider_draws_anew(shown):
    calls = []

    def counted(**values):
        calls.append(values)
        return draw(**values)

    live(counted, seed=(0, 20, 1, 4), width=(0.5, 2.0, 0.25, 1.0))
    (box,) = shown
    seed, width, _ = box.children
    seed.value = 7
    assert "drawn seed=7 width=1.0<" in picture_of(box)
    width.value = 1.5
    assert "drawn seed=7 width=1.5<" in picture_of(box)
    assert calls == [{"seed": 4, "width": 1}, {"seed": 7, "width": 1}, {"seed": 7, "width": 1.5}]
    assert plt.get_fignums() == []


def test_live_drop_down(shown):
    live(lambda shape: draw(seed=shape, width=1.0), shape=["round", "square & flat"])
    (box,) = shown
    choice, picture = box.children
    assert (choice.options, choice.value) == (("round", "square & flat"), "round")
    choice.value = "square & flat"
    assert "drawn seed=square" in picture_of(box)
    assert 'alt="The figure at shape = square &amp; flat"' in picture.value


@pytest.mark.parametrize("values", [[], (0, 1, 0.1), "abcd", 3])
def test_live_refuses_other_controls(shown, values):
    with pytest.raises(ValueError, match=r"width must be \(smallest value, largest value, step, start\)"):
        live(draw, width=values)
    assert shown == []
