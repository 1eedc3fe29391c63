"""What ``make export`` fills into a notebook, and what the site makes of it."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_notebooks import NEW, notebook_of

from aevb_utils.results.json_files import BrokenFileError
from tools.notebooks import ROOT
from tools.readable import make_readable

CHAPTER = Path("03_three.ipynb")
FIGURE = {"figure": {"name": "fig-three"}, "image": {"alt": "A line."}}


def text(source, **metadata):
    return NEW.new_markdown_cell(source, metadata=metadata)


def code(source, **metadata):
    return NEW.new_code_cell(source, metadata=metadata)


def filled(*cells, path=CHAPTER):
    """The cells of a notebook that has been made readable; a second time changes nothing."""
    notebook = NEW.new_notebook(cells=list(cells))
    make_readable(notebook, path)
    again = NEW.new_notebook(cells=[cell.copy() for cell in notebook.cells])
    make_readable(again, path)
    assert again.cells == notebook.cells
    return notebook.cells


def sources(*cells, path=CHAPTER):
    return [cell.source for cell in filled(*cells, path=path)]


def cite(key, words=""):
    return f'[{words}](#References "{key}")'


WU, NEAL = "wu1983convergence", "neal1998view"


@pytest.mark.parametrize(
    ("written", "made"),
    [
        (f"{cite(WU)} shows", f"{cite(WU, 'Wu (1983)')} shows"),
        (f"it rises ({cite(WU)}).", f"it rises ({cite(WU, 'Wu, 1983')})."),
        (f"so ({cite(NEAL)};\n{cite(WU)}),", f"so ({cite(NEAL, 'Neal and Hinton, 1998')};\n{cite(WU, 'Wu, 1983')}),"),
        (f"so ({cite(WU)}: proof)", f"so ({cite(WU, 'Wu (1983)')}: proof)"),
        (f"(as {cite(WU)})", f"(as {cite(WU, 'Wu (1983)')})"),
        (f"f({cite('oord2017neural', 'old')})", f"f({cite('oord2017neural', 'van den Oord et al., 2017')})"),
    ],
)
def test_a_citation_gets_its_words(written, made):
    assert sources(text(written))[0] == made


def test_two_works_of_one_year_are_told_apart():
    keys = ("maddison2017concrete", "maddison2017filtering")
    first, second, references = sources(text(cite(keys[0])), text(cite(keys[1])))
    assert (first, second) == (cite(keys[0], "Maddison et al. (2017a)"), cite(keys[1], "Maddison et al. (2017b)"))
    assert "**Maddison et al. (2017a).** Chris J. Maddison, Andriy Mnih" in references


def test_what_is_cited_is_listed_once_in_order_at_the_end():
    old = text("## References\n\n- gone", tags=["references"])
    *_, references = filled(text(f"{cite(WU)}, {cite(NEAL)}"), old, text(f"again {cite(WU)}"))
    assert references.metadata == {"tags": ["references"]}
    heading, empty, *entries = references.source.splitlines()
    assert (heading, empty) == ("## References", "")
    assert [entry.split(".**")[0] for entry in entries] == ["- **Neal and Hinton (1998)", "- **Wu (1983)"]
    assert "*The Annals of Statistics*, 11(1):95–103, 1983. [doi:10.1214/aos/1176346060](https://doi.org" in entries[1]


def test_a_notebook_that_cites_nothing_has_no_list():
    assert sources(text("no one")) == ["no one"]


def test_an_unknown_key_is_refused():
    with pytest.raises(BrokenFileError, match=r"03_three.ipynb cites 'nobody2000', which .* add the entry"):
        filled(text(cite("nobody2000")))


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [(CHAPTER, "3.1", "3.2"), (Path("page.ipynb"), "R.1", "R.2"), (Path("other.ipynb"), "1", "2")],
)
def test_captions_are_numbered(path, first, second):
    letter = [text(r"$x \tag{R.1}$")] if path.name == "page.ipynb" else []
    figures = [code("plot()", mystnb=FIGURE), text("**Fig.** **Bold** line.", tags=["caption"])]
    others = [code("plot()", mystnb=FIGURE), text("**Fig. 9.7.** A dot.", tags=["caption"])]
    made = sources(*letter, *figures, *others, path=path)[len(letter) :]
    assert made[1::2] == [f"**Fig. {first}.** **Bold** line.", f"**Fig. {second}.** A dot."]


@pytest.mark.parametrize("above", [[], [code("1")], [text("text")]])
def test_a_caption_below_no_figure_is_refused(above):
    with pytest.raises(BrokenFileError, match="below no figure"):
        filled(*above, text("**Fig.** A line.", tags=["caption"]))


def test_solutions_and_the_setup_are_folded():
    setup, _, solution, plain = filled(
        code("import sys", tags=["setup"]),
        text("### Exercise 3.2 ★ A title"),
        code("# @title Old\nanswer = 1", tags=["solution"]),
        code("1"),
    )
    assert (setup.source, setup.metadata.jupyter) == ("# @title Setup\nimport sys", {"source_hidden": True})
    assert solution.source == "# @title Solution to exercise 3.2\nanswer = 1"
    assert solution.metadata.jupyter == {"source_hidden": True, "outputs_hidden": True}
    assert setup.metadata.cellView == solution.metadata.cellView == "form"
    assert plain.metadata == {}


def test_a_folded_cell_keeps_its_own_title():
    (cell,) = filled(code("# @title How it is drawn\nplot()", tags=["export", "folded"], mystnb=FIGURE))
    assert cell.source == "# @title How it is drawn\nplot()"
    assert (cell.metadata.jupyter, cell.metadata.cellView) == ({"source_hidden": True}, "form")
    assert cell.metadata.mystnb == FIGURE


@pytest.mark.parametrize("source", ["plot()", "# Title\nplot()", "# @title \nplot()", "\n# @title Late\nplot()"])
def test_a_folded_cell_without_a_title_is_refused(source):
    with pytest.raises(BrokenFileError, match=r"^03_three\.ipynb, .* has no title: let it begin with .* inside'\.$"):
        filled(code(source, tags=["folded"]))


def test_what_is_no_longer_tagged_is_unfolded():
    (cell,) = filled(code("plot()", jupyter={"source_hidden": True}, cellView="form"))
    assert cell.metadata == {}


# The site


def on_the_site(*cells):
    """The cells as the site's extension hands them to Sphinx."""
    spec = importlib.util.spec_from_file_location("site_notebooks", ROOT / "book" / "extensions" / "site_notebooks.py")
    site = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(site)
    app = SimpleNamespace(env=SimpleNamespace(doc2path=lambda name: f"{name}.ipynb"))
    source = [json.dumps(NEW.new_notebook(cells=list(cells)))]
    site._as_the_site_has_it(app, "notebooks/03_three", source)
    return json.loads(source[0])["cells"]


def test_the_site_has_its_own_citations_and_anchors():
    links = (
        f"see [it](#What-the-KL-costs:-a,-b?), [there](01_one.ipynb#One-change) ({cite(NEAL)}; {cite(WU)}), {cite(WU)}"
    )
    (cell,) = on_the_site(*filled(text(links)))
    assert "".join(cell["source"]) == (
        f"see [it](#what-the-kl-costs-a-b), [there](01_one.ipynb#one-change) {{cite:p}}`{NEAL},{WU}`, {{cite:t}}`{WU}`"
    )


def test_the_site_has_captions_in_figures_and_folds_without_titles():
    cells = filled(
        code("plot()", mystnb=FIGURE),
        text(f"**Fig.** A line ({cite(WU)}).", tags=["caption"]),
        text("### Exercise 3.1 ★ A title"),
        code("answer = 1", tags=["solution"]),
    )
    figure, _, solution = on_the_site(*cells)
    assert figure["metadata"]["mystnb"]["figure"] == {
        "name": "fig-three",
        "caption": f"**Fig. 3.1.** A line {{cite:p}}`{WU}`.",
    }
    assert solution["source"] == "answer = 1"
    assert "hide-cell" in solution["metadata"]["tags"]
    assert solution["metadata"]["mystnb"]["code_prompt_show"] == "Show the solution"


def test_the_site_shows_what_is_inside_a_folded_cell():
    (cell,) = on_the_site(*filled(code("# @title How it is drawn\nplot()", tags=["folded"], mystnb=FIGURE)))
    assert cell["source"] == "plot()"
    assert cell["metadata"]["tags"] == ["folded", "hide-input"]
    prompts = {f"code_prompt_{way.lower()}": f"{way} the code: How it is drawn" for way in ("Show", "Hide")}
    assert cell["metadata"]["mystnb"] == FIGURE | prompts


def test_small_notebooks_stay_as_they_are():
    notebook = notebook_of("a = 1", "# ½ text")
    before = notebook.copy()
    make_readable(notebook, CHAPTER)
    assert notebook == before
