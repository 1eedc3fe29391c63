"""The directive that stands on the site for a figure that a notebook has stored with its script and data."""

import json
import sys

import pytest
from sentences import one_sentence
from sphinx.errors import ExtensionError

from tools.notebooks import ROOT

sys.path.insert(0, str(ROOT / "book" / "extensions"))
import site_notebooks
from site_figure_outputs import with_directives

PAGE = '<figure class="aevb-figure"><div class="aevb-computing" data-figure="be_q" data-state="mean=1&amp;sd=2">…</div>'
PLAIN = {"output_type": "stream", "name": "stdout", "text": "a line"}
CAPTION = {
    "cell_type": "markdown",
    "id": "b",
    "metadata": {"tags": ["caption"]},
    "source": ["**Fig. 1.3.** Move ", "q."],
}


def notebook(metadata):
    """A cell that prints a line and shows a figure, and its caption."""
    figure = {"output_type": "execute_result", "data": {"text/html": [PAGE]}, "metadata": {}, "execution_count": 1}
    cell = {"cell_type": "code", "id": "a", "metadata": metadata, "source": "show()", "outputs": [PLAIN, figure]}
    return json.dumps({"cells": [cell, CAPTION]})


def test_a_directive_stands_for_a_figure_and_its_caption():
    metadata = {"mystnb": {"image": {"alt": "A curve."}, "figure": {"name": "fig-q"}}}
    code, directive = json.loads(with_directives(notebook(metadata), "notebooks/01"))["cells"]
    assert code["outputs"] == [PLAIN]
    assert code["metadata"] == {"mystnb": {"image": {"alt": "A curve."}}}
    lines = ["`````{computing} be_q", ":state: mean=1&sd=2", ":name: fig-q", "**Fig. 1.3.** Move q.", "`````"]
    assert directive["source"] == "\n".join(lines)


def test_what_shows_no_such_figure_stays_as_it_is():
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "outputs": [PLAIN]}
    text = json.dumps({"cells": [CAPTION, cell, CAPTION]})
    assert json.loads(with_directives(text, "notebooks/01")) == json.loads(text)


@pytest.mark.parametrize("metadata", [{}, {"mystnb": {}}, {"mystnb": {"figure": {}}}, {"mystnb": {"image": {}}}])
def test_a_figure_without_a_name_is_a_sentence(metadata):
    with pytest.raises(ExtensionError, match="shows the figure 'be_q'") as raised:
        with_directives(notebook(metadata), "notebooks/01_latent")
    said = one_sentence(str(raised.value))
    assert said.startswith("notebooks/01_latent: the cell 'a'")
    assert '"figure": {"name"' in said


@pytest.mark.parametrize("above", [[], [{"cell_type": "code", "id": "a", "metadata": {}, "source": "1"}]])
def test_a_caption_without_a_figure_is_a_sentence(above):
    with pytest.raises(ExtensionError, match="names no figure") as raised:
        site_notebooks._figure_above(above, CAPTION, "notebooks/01_latent")
    assert one_sentence(str(raised.value)).startswith("notebooks/01_latent: the cell 'b'")


def test_a_figure_without_a_caption_is_a_sentence():
    alone = json.dumps({"cells": json.loads(notebook({}))["cells"][:1]})
    with pytest.raises(ExtensionError, match="has no caption") as raised:
        with_directives(alone, "notebooks/01_latent")
    assert one_sentence(str(raised.value)).startswith("notebooks/01_latent, cell a: ")
