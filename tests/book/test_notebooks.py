"""Rules for every notebook: fresh and clean stored outputs, names that exist. For chapters: their parts, their exports.

A notebook that is added to ``notebooks/`` is tested by itself: as a chapter if its name begins with a number, else as a
page.
"""

import base64
import gzip
import json
import re
import statistics
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

import aevb_utils.evaluation
import aevb_utils.models
from aevb_utils.figures import MAX_FRAMES
from tools.export import EXPORT_KEY, TABLES, exports
from tools.notebooks import (
    CHAPTERS,
    PAGES,
    ROOT,
    RUN_KEY,
    SETUP_CELL,
    code_cells,
    notebook_hash,
    outputs_of,
    read,
    tags,
)
from tools.readable import CITATION, HEADING, TITLE, make_readable
from tools.road import MARK, READING, SHORT_ROAD, measure, short_road, tables
from tools.stamps import FULL, SAME, Stamp, output_hash

EXPORTS = exports()
IMAGES = {"image/svg+xml", "image/png"}
TAGS = {"setup", "export", "live", "exercise", "hint", "solution", "check", "break", "caption", "references"}
TAGS |= {"folded", "aside", "hide-input", "hide-cell"}

ASIDE = r"<details><summary>\S[^\n]*</summary>\n\n((?!</?details).)*\n\n</details>"

LANGUAGE = {"codemirror_mode", "file_extension", "mimetype", "name", "nbconvert_exporter", "pygments_lexer", "version"}

STAINS = {
    "a path of this machine": r"(?<![\w.:/-])/(home|root|tmp|work|usr|var|opt|Users)/|[A-Z]:\\+Users",
    "a memory address": r"\b0x[0-9a-fA-F]{6,}",
    "a progress bar": r"\r|%\|",
    "a warning": r"Warning\b",
    "a date or time": r"\b\d{4}-\d\d-\d\d\b|\b\d\d:\d\d:\d\d\b|<dc:date>",
}


def number(path: Path) -> int:
    """The chapter's number."""
    return int(path.stem[:2])


@cache
def chapter(path: Path):
    return read(path)


def sources(path: Path, kind: str) -> str:
    """All text of the cells of a kind."""
    return "\n\n".join(cell.source for cell in chapter(path).cells if cell.cell_type == kind)


def outputs(path: Path):
    """Each stored output of a notebook with its cell."""
    return [(cell, output) for cell in code_cells(chapter(path)) for output in cell.outputs]


def unpack(text: str) -> str:
    """The text with what a viewer packs in base64 written out, and images of pixels left out."""

    def image(match):
        return "" if match[1] == "png" else base64.b64decode(match[2]).decode()

    text = re.sub(r"data:image/(png|svg\+xml);base64,([A-Za-z0-9+/=\s]+)", image, text)
    packed = r'(?<=<script type="application/gzip">)[A-Za-z0-9+/=]+'
    return re.sub(packed, lambda match: json.dumps(payload(match[0])), text)


def payload(packed: str) -> dict:
    """What a viewer's script unpacks."""
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def output_texts(output) -> list[str]:
    """All that an output says, in every format but pixels."""
    if output.output_type == "stream":
        return [output.text]
    return [unpack(text) for kind, text in output.get("data", {}).items() if kind != "image/png"]


def viewers(path: Path) -> list[str]:
    """The HTML of a chapter's viewers."""
    pages = [output.data["text/html"] for _, output in outputs(path) if "text/html" in output.get("data", {})]
    return [page for page in pages if 'class="aevb-viewer"' in page]


def computing(path: Path) -> list:
    """The cells that show a figure that computes, which has its words in itself."""
    return [
        cell
        for cell, output in outputs(path)
        if 'class="aevb-computing"' in output.get("data", {}).get("text/html", "")
    ]


def figures(path: Path) -> list:
    """The cells that show a figure, once for each; a viewer has its words in itself."""
    return [
        cell
        for cell, output in outputs(path)
        if IMAGES & set(output.get("data", {})) and "text/html" not in output.data
    ]


def exercises(path: Path) -> dict[str, list]:
    """The cells of each exercise, by its number, from its heading to the next heading."""
    found, current = {}, None
    for cell in chapter(path).cells:
        if cell.cell_type == "markdown" and (heading := re.match(r"#{1,3} .*", cell.source)):
            title = re.match(r"### Exercise (\d+\.\d+) (★{1,3}) \S", heading[0])
            current = found.setdefault(title[1], []) if title else None
        if current is not None:
            current.append(cell)
    return found


every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
every_notebook = pytest.mark.parametrize("path", [*PAGES, *CHAPTERS], ids=lambda path: path.stem)


def test_there_are_chapters_numbered_from_one():
    assert [number(path) for path in CHAPTERS] == list(range(1, len(CHAPTERS) + 1))
    assert len(CHAPTERS) >= 2
    assert not [path.name for path in PAGES if path.name[0].isdigit()], "a chapter's name is two digits, _, its subject"


# The file


@every_notebook
def test_file(path):
    assert path.stat().st_size < 2_000_000
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert (raw["nbformat"], raw["nbformat_minor"] >= 5) == (4, True)
    ids = [cell["id"] for cell in raw["cells"]]
    assert len(ids) == len(set(ids))
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    assert raw["metadata"]["kernelspec"] == kernel  # as JupyterLab writes it, and the language too
    assert raw["metadata"]["language_info"].keys() == LANGUAGE
    assert set(raw["metadata"]) <= {"kernelspec", "language_info", RUN_KEY, EXPORT_KEY}
    assert {cell.cell_type for cell in chapter(path).cells} == {"markdown", "code"}


@every_notebook
def test_cells_are_short(path):
    lengths = [len(TITLE.sub("", cell.source).splitlines()) for cell in code_cells(chapter(path))]
    assert max(lengths) <= 40
    assert statistics.median(lengths) < 10


@every_notebook
def test_no_cell_is_empty_and_tags_are_known(path):
    for cell in chapter(path).cells:
        assert cell.source.strip()
        assert tags(cell) <= TAGS
        assert set(cell.metadata) <= {"tags", "mystnb", "jupyter", "cellView", EXPORT_KEY}
        assert EXPORT_KEY not in cell.metadata or "export" in tags(cell)


@every_notebook
def test_what_is_folded_has_one_form(path):
    for cell in chapter(path).cells:
        folding = tags(cell) & {"setup", "solution", "folded"}
        if cell.cell_type == "code":
            assert not tags(cell) & {"aside", "hint"}
            assert len(folding) <= 1, f"folded in two ways:\n{cell.source}"
            assert not {"folded", "hide-input"} <= tags(cell), f"folded in two ways:\n{cell.source}"
            assert ("cellView" in cell.metadata) == bool(folding)
        else:
            assert "folded" not in tags(cell), "code is folded; text is an aside"
            assert ("<details" in cell.source) == bool(tags(cell) & {"aside", "hint", "solution"})
            if "aside" in tags(cell):
                assert re.fullmatch(ASIDE, cell.source, flags=re.DOTALL), cell.source
                assert not re.search(r"^#", cell.source, flags=re.MULTILINE), "a heading cannot be folded"


@every_notebook
def test_setup_cell_comes_first(path):
    first, *rest = code_cells(chapter(path))
    assert "setup" in tags(first)
    assert not any("setup" in tags(cell) for cell in rest)
    assert re.sub(r'^REPOSITORY = ".*?"', 'REPOSITORY = ""', first.source, flags=re.MULTILINE) == SETUP_CELL


# The stored outputs


@every_notebook
def test_outputs_are_those_of_this_code(path):
    stamp = Stamp.from_json(chapter(path).metadata.get(RUN_KEY, {}))
    assert stamp, f"It has never been run as it is: make execute NOTEBOOK=notebooks/{path.name}"
    assert stamp.made_by in (FULL, SAME)
    assert stamp.fingerprint
    assert stamp.output_hash == output_hash(outputs_of(chapter(path))), "The outputs are not those of its last run."
    fresh = stamp.code_hash == notebook_hash(chapter(path))
    assert fresh, f"The code has changed since: make refresh, or make execute NOTEBOOK=notebooks/{path.name}"


@every_notebook
def test_outputs_come_from_one_run_in_order(path):
    counts = [cell.execution_count for cell in chapter(path).cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@every_notebook
def test_outputs_are_clean(path):
    found = []
    for cell, output in outputs(path):
        assert output.output_type in {"stream", "display_data", "execute_result"}, cell.source
        assert output.get("name", "stdout") == "stdout", cell.source
        assert not any("widget" in kind for kind in output.get("data", {})), cell.source
        for name, stain in STAINS.items():
            for text in output_texts(output):
                found += [(name, text[max(0, m.start() - 40) : m.end() + 40]) for m in re.finditer(stain, text)]
    assert found == []


@every_chapter
def test_live_cells_store_nothing(path):
    cells = [cell for cell in code_cells(chapter(path)) if "live" in tags(cell)]
    assert cells, "one figure a chapter is also live"
    assert all(cell.outputs == [] for cell in cells)
    assert all(re.search(r"\blive\(", cell.source) for cell in cells)


# Figures


@every_notebook
def test_figures_have_words(path):
    assert figures(path) or path in PAGES
    below = dict(zip([cell.id for cell in chapter(path).cells], chapter(path).cells[1:], strict=False))
    for cell in figures(path):
        options = cell.metadata.get("mystnb", {})
        assert options.get("image", {}).get("alt", "").strip(), f"no alt text:\n{cell.source}"
        assert options.get("figure", {}).get("name", "").strip(), f"no name:\n{cell.source}"
        assert "caption" in tags(below[cell.id]), f"no caption below:\n{cell.source}"
        assert re.fullmatch(r"\*\*Fig\. ([\dA-Z]+\.)?\d+\.\*\* \S.*", below[cell.id].source, flags=re.DOTALL)


@every_notebook
def test_figures_that_compute_have_captions_and_pictures(path):
    below = dict(zip([cell.id for cell in chapter(path).cells], chapter(path).cells[1:], strict=False))
    for cell in computing(path):
        assert cell.metadata.get("mystnb", {}).get("figure", {}).get("name", "").strip(), f"no name:\n{cell.source}"
        assert "caption" in tags(below[cell.id]), f"no caption below:\n{cell.source}"
        (output,) = cell.outputs
        assert output.data["image/png"]
        assert all(address.startswith("data:") for address in Loads(output.data["text/html"]).addresses)


@every_notebook
def test_what_follows_from_the_rest_is_filled_in(path):
    notebook = read(path)
    make_readable(notebook, path)
    assert notebook == chapter(path), "Citations, references, captions or folded cells are not up to date: make export"


@every_notebook
def test_a_cell_shows_one_figure(path):
    """Alt text and caption belong to a cell, so a second figure in it would get the first one's words."""
    cells = [cell.id for cell in figures(path)]
    assert len(cells) == len(set(cells))


def test_figure_names_are_unique_in_the_book():
    options = [cell.metadata.get("mystnb", {}) for path in (*PAGES, *CHAPTERS) for cell in chapter(path).cells]
    names = [option["figure"]["name"] for option in options if "figure" in option]
    assert len(names) == len(set(names))


class Loads(HTMLParser):
    """Collects the addresses that a page would load by itself, or lead to."""

    def __init__(self, text):
        super().__init__()
        self.addresses = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in {"src", "href", "srcset", "data"}]


@every_chapter
def test_viewers_work_alone(path):
    assert viewers(path) or computing(path), "a chapter has a viewer, or a figure that computes"
    for page in viewers(path):
        (packed,) = re.findall(r'<script type="application/gzip">([A-Za-z0-9+/=]+)</script>', page)
        data = payload(packed)
        assert 1 <= len(data["frames"]) == len(data["alts"]) <= MAX_FRAMES
        assert all(alt.strip() for alt in data["alts"])
        assert len(set(data["alts"])) > 1 or len(data["alts"]) == 1, "the alt text does not say what changes"
        assert all(address.startswith("data:") for address in Loads(page).addresses)


# The text


@every_chapter
def test_parts_of_a_chapter_are_there_in_order(path):
    first = chapter(path).cells[0]
    assert first.cell_type == "markdown"
    title, _, rest = first.source.partition("\n")
    assert re.fullmatch(r"# \S.*", title)
    assert "you can" in rest, "the title is followed by a promise: what the reader can do at the end"
    for word in ("before", "reading", "running"):
        assert re.search(rf"\*\*[^*]*{word}[^*]*\*\*", rest, flags=re.IGNORECASE), f"**{word}** is missing at the top"
    headings = re.findall(r"^#{1,2} .*", sources(path, "markdown"), flags=re.MULTILINE)
    parts = [
        "## What you will be able to do",
        "## Break it on purpose",
        "## Summary",
        "## Exercises",
        "## What to read next",
    ]
    assert [heading for heading in headings if heading in parts] == parts
    assert headings[1] == parts[0]
    assert headings[-5:] == [*parts[1:], HEADING]
    assert sum(heading.startswith("# ") for heading in headings) == 1


@every_notebook
def test_reading_time_is_that_of_the_rule(path):
    (found,) = READING.finditer(chapter(path).cells[0].source)
    assert found[0].endswith(f" about {measure(chapter(path)).minutes} minutes"), "make export"


@pytest.mark.parametrize("page", TABLES, ids=lambda page: page.name)
def test_table_of_chapters_has_their_reading_times(page):
    assert page.read_text("utf-8") == tables([page], CHAPTERS)[page], "make export"


@every_chapter
def test_short_road_is_short(path):
    if MARK in chapter(path).cells[0].source:
        minutes = measure(chapter(path), short_road(chapter(path), path.name)).minutes
        assert f": about {minutes} minutes." in chapter(path).cells[0].source, "make export"
        assert minutes <= SHORT_ROAD


@every_page
def test_parts_of_a_page(path):
    first = chapter(path).cells[0]
    title, _, rest = first.source.partition("\n")
    assert re.fullmatch(r"# \S.*", title)
    for word in ("before", "reading", "running"):
        assert re.search(rf"\*\*[^*]*{word}[^*]*\*\*", rest, flags=re.IGNORECASE), f"**{word}** is missing at the top"
    assert len(re.findall(r"^# ", sources(path, "markdown"), flags=re.MULTILINE)) == 1
    assert re.search(r"\bcheck_(close|at_most|at_least|true|fails)\(", sources(path, "code"))
    only_in_chapters = {"export", "exercise", "check", "solution"}  # there the export and the tests look for them
    assert not [cell.source for cell in chapter(path).cells if tags(cell) & only_in_chapters]


@every_page
def test_equations_of_a_page_are_numbered_by_its_letter(path):
    letters = {c for c, _ in labels(path)}
    assert len(letters) <= 1
    assert labels(path) == [(c, k + 1) for c in letters for k in range(len(labels(path)))]
    others = {c for other in PAGES if other != path for c, _ in labels(other)}
    assert not letters & others, "another page has this letter"


def labels(path: Path) -> list[tuple[str, int]]:
    """The numbers of a notebook's equations, in order: by chapter, on a page by its letter."""
    return [(c, int(k)) for c, k in re.findall(r"\\tag\{(\d+|[A-Z])\.(\d+)\}", sources(path, "markdown"))]


@every_chapter
def test_equations_are_numbered_in_order(path):
    assert labels(path)
    assert labels(path) == [(str(number(path)), k + 1) for k in range(len(labels(path)))]


@every_notebook
def test_equations_that_are_named_exist(path):
    text = sources(path, "markdown") + "\n" + sources(path, "code")
    named = re.findall(r"(?<![\w)\]}])\((\d{1,2}|[A-Z])\.([1-9]\d?)\)", text)  # not the argument of a function
    assert named
    known = {label for other in (*PAGES, *CHAPTERS) for label in labels(other)}
    assert {(c, int(k)) for c, k in named} - known == set()


@every_chapter
def test_code_names_the_equations_it_implements(path):
    named = re.findall(r"\beqs?\. \((\d+)\.\d+\)", sources(path, "code"))
    assert str(number(path)) in named


@every_notebook
def test_a_notebook_cites_in_plain_markdown(path):
    assert CITATION.search(sources(path, "markdown"))
    assert "{cite" not in sources(path, "markdown")


@every_chapter
def test_claims_are_checked_and_mistakes_are_made(path):
    plain = [cell for cell in code_cells(chapter(path)) if not tags(cell) & {"check", "solution", "exercise"}]
    checks = [cell for cell in plain if re.search(r"\bcheck_(close|at_most|at_least|true|fails)\(", cell.source)]
    assert any("break" not in tags(cell) for cell in checks)
    broken = [cell for cell in plain if "break" in tags(cell)]
    assert broken
    caught = [output.text for cell in broken for output in cell.outputs if output.output_type == "stream"]
    assert "✗" in "".join(caught), "no check is shown to catch a mistake"


# Exercises


@every_chapter
def test_exercises_are_complete(path):
    found = exercises(path)
    assert list(found) == [f"{number(path)}.{k + 1}" for k in range(len(found))]
    assert 4 <= len(found) <= 6
    for name, cells in found.items():
        code = {tag: [c for c in cells if c.cell_type == "code" and tag in tags(c)] for tag in TAGS}
        assert [len(code[tag]) for tag in ("exercise", "check", "solution")] == [1, 1, 1], name
        assert re.search(r"\.\.\.$", code["exercise"][0].source, flags=re.MULTILINE), name
        assert f'check_answer("{name}", ' in code["check"][0].source
        assert "hide-cell" in tags(code["solution"][0]), f"the solution of {name} is not folded"
        hints = [cell.source for cell in cells if cell.cell_type == "markdown" and "hint" in tags(cell)]
        assert hints, name
        assert all("<details>" in hint and "</details>" in hint for hint in hints), f"a hint of {name} is not folded"
        order = [tag for cell in cells for tag in ("exercise", "check", "solution") if tag in tags(cell)]
        assert order[:2] == ["exercise", "check"], name


@every_chapter
def test_exercises_are_where_they_belong(path):
    inside = {cell.id for cells in exercises(path).values() for cell in cells}
    tagged = {c.id for c in chapter(path).cells if tags(c) & {"exercise", "check", "hint", "solution"}}
    assert tagged <= inside
    answers = ROOT / "aevb_utils" / "checking" / "answers" / f"chapter_{number(path):02d}.json"
    assert set(json.loads(answers.read_text("utf-8"))) == set(exercises(path))


# Exported modules

PACKAGES = {
    ROOT / "aevb_utils" / "models": aevb_utils.models,
    ROOT / "aevb_utils" / "evaluation": aevb_utils.evaluation,
}


@pytest.mark.parametrize("module", EXPORTS, ids=lambda module: module.stem)
def test_exported_module_is_what_the_chapter_holds(module):
    assert module.read_text(encoding="utf-8") == EXPORTS[module], "The chapter has changed: make export"


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_every_module_that_says_it_comes_from_a_chapter_does(folder):
    exported = {module for module in EXPORTS if module.parent == folder}
    assert {path for path in folder.glob("*.py") if "Exported from notebooks/" in path.read_text("utf-8")} == exported


def test_every_model_comes_from_a_chapter():
    folder = ROOT / "aevb_utils" / "models"
    assert {*folder.glob("*.py")} == {folder / "__init__.py", *(m for m in EXPORTS if m.parent == folder)}


@pytest.mark.parametrize("module", EXPORTS, ids=lambda module: module.stem)
def test_package_offers_what_is_exported(module):
    package = PACKAGES[module.parent]
    offered = [getattr(package, name) for name in package.__all__]
    assert [thing for thing in offered if thing.__module__ == f"{package.__name__}.{module.stem}"]


@every_chapter
def test_a_chapter_that_names_a_module_exports_to_it(path):
    named = chapter(path).metadata.get(EXPORT_KEY)
    targets = {cell.metadata.get(EXPORT_KEY, named) for cell in code_cells(chapter(path)) if "export" in tags(cell)}
    assert named is None or named in targets
