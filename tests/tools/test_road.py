"""The reading time: what counts, and where it is written."""

import pytest
from small_notebooks import NEW

from aevb_utils.results.json_files import BrokenFileError
from tools.road import Road, fill_table, fill_times, measure, short_road

FIGURE = {"figure": {"name": "fig-three"}}


def text(source, *tags):
    return NEW.new_markdown_cell(source, metadata={"tags": list(tags)} if tags else {})


def code(source, *tags, **metadata):
    return NEW.new_code_cell(source, metadata=metadata | ({"tags": list(tags)} if tags else {}))


def road_of(*cells):
    return measure(NEW.new_notebook(cells=list(cells)))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("Three plain words.", 3),
        ("The ELBO $\\mathcal{L}(\\theta, q)$ is *low*,\nand `log_prob` too.", 8),
        ('see [the other KL](03_three.ipynb#The-other-KL) or [Wu (1983)](#References "wu1983convergence")', 7),
        ("| a | b |\n|--:|:--|\n| one | don't |", 4),
        ("# A title\n\n- so-called $x$", 4),
        ("", 0),
    ],
)
def test_words(source, words):
    assert road_of(text(source)) == Road(words=words)


@pytest.mark.parametrize(
    ("source", "formulas", "numbered"),
    [
        ("$$\na = b\n$$", 1, 0),
        (r"$$a = b \tag{3.1}$$ and $$c$$", 2, 1),
        (r"$$\begin{aligned} a &= b \\ &= c \\[2pt] &= d \tag{3.1} \end{aligned}$$", 3, 1),
        (r"$$W = \begin{pmatrix} 1 \\ 0 \end{pmatrix}, \quad \begin{cases} 1 \\ 2 \\ 3 \end{cases}$$", 1, 0),
    ],
)
def test_formulas_are_counted_by_line(source, formulas, numbered):
    assert road_of(text(source)) == Road(words=source.count(" and "), formulas=formulas, numbered=numbered)


def test_lines_of_code_are_those_that_hold_code():
    assert road_of(code('x = 1  # one\n\n# a comment\ndef f():\n    """What."""\n    return x')) == Road(code_lines=4)


def test_figures_count_though_their_code_is_folded():
    cells = [code("# @title It\nplot()", "folded", mystnb=FIGURE), code("viewer(draw)"), code("def viewer(): pass")]
    assert road_of(*cells) == Road(code_lines=2, folded_lines=1, figures=2)


@pytest.mark.parametrize("tag", ["setup", "live", "exercise", "check", "solution", "hint", "references"])
def test_what_is_beside_the_road_does_not_count(tag):
    assert road_of(code("x = 1", tag), text("Two words", tag)) == Road()


def test_what_is_folded_counts_apart():
    aside = "<details><summary>Why</summary>\n\nIt *is* $x$. $$a = b$$\n\n</details>"
    folded = Road(folded_words=4)
    assert road_of(text(aside, "aside")) == road_of(text(aside)) == folded
    assert road_of(text(f"Before.\n\n{aside}")) == folded + Road(words=1)
    assert road_of(code("x = 1\ny = 2", "hide-input")) == Road(folded_lines=2)


def test_exercises_are_another_matter():
    cells = [
        text("## Story\n\none"),
        text("## Exercises\n\ntwo"),
        text("### Exercise 3.1 ★ T"),
        code("x = 1"),
        text("## End"),
    ]
    assert road_of(*cells) == Road(words=3)


def test_the_time_is_a_sum_in_steps_of_five_minutes():
    assert Road().minutes == 5
    assert Road(words=2000).minutes == Road(formulas=20).minutes == Road(code_lines=200).minutes == 10
    assert Road(words=2000, formulas=20, code_lines=200, figures=30).minutes == 40
    assert Road(words=2000, folded_words=9000, folded_lines=9000, numbered=99).minutes == 10
    assert Road(words=2400).minutes == 10
    assert Road(words=2600).minutes == 15


# Where it is written

SECTIONS = [
    text("## One\n\n" + "word " * 2000),
    text("### Within\n\n" + "word " * 2000),
    text("## Two: a, b\n\n" + "word " * 1000),
]
ROAD = "**The short road:** {}: about an hour."


def chapter(first):
    return NEW.new_notebook(cells=[text(first), *SECTIONS])


@pytest.mark.parametrize("written", ["**Reading:** about 7 minutes.", "**Reading time:** 9 minutes, and more."])
def test_the_first_cell_gets_the_time(written):
    notebook = chapter(f"# Title\n\n{written} **Running:** about 2 minutes.")
    for _ in range(2):
        fill_times(notebook, "03_three.ipynb")
        assert "about 25 minutes" in notebook.cells[0].source
        assert "**Running:** about 2 minutes." in notebook.cells[0].source


@pytest.mark.parametrize(
    ("links", "minutes"),
    [
        ("[1](#One)", 20),
        ("[1](#Within)", 10),
        ("[1](#Within), [2](#Two:-a,-b)", 15),
        ("[1](#One), first,\nthen [2](#Within)", 20),
    ],
)
def test_the_short_road_gets_the_time_of_its_sections(links, minutes):
    notebook = chapter(f"# Title\n\n{ROAD.format(links)}\n\nNot: about 3 minutes.")
    fill_times(notebook, "03_three.ipynb")
    assert f"{links}: about {minutes} minutes.\n\nNot: about 3 minutes." in notebook.cells[0].source


def test_a_chapter_may_have_no_short_road():
    assert short_road(chapter("# Title"), "03_three.ipynb") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (ROAD.format("[1](#Three)"), r"03_three\.ipynb has a short road to 'Three', which is no heading of it"),
        (ROAD.format("One"), r"03_three\.ipynb has a short road that names no sections: write it like"),
        ("**The short road:** [1](#One)", "names no sections"),
    ],
)
def test_a_short_road_that_leads_nowhere_is_refused(line, message):
    with pytest.raises(BrokenFileError, match=message):
        fill_times(chapter(line), "03_three.ipynb")


def test_tables_get_the_times_and_keep_the_rest():
    before = (
        "| 3 | **[T](../notebooks/03_three.ipynb)** <br> $p(x \\mid z)$ | 50 min / 30 s |\n| 4 | x | 50 min / 1 s |"
    )
    assert fill_table(before, "index.md", {"03_three.ipynb": 105}) == before.replace("50 min / 30", "105 min / 30")


def test_a_table_without_a_chapter_is_refused():
    with pytest.raises(BrokenFileError, match=r"^index\.md has 0 rows for 03_three\.ipynb in its table: give it one"):
        fill_table("| 4 | x | 50 min / 1 s |", "index.md", {"03_three.ipynb": 105})
