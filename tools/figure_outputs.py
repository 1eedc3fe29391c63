"""The figures that compute among a notebook's stored outputs: what each one is, and how it is stored now.

Such an output holds the figure's script and its data, so that it works without a network. They follow from the package
and not from the run, as a caption's number does: ``make export`` writes them anew where they have changed, and what is
hashed and compared of such an output is which figure it is, in which state.
"""

import base64
import html
import json
import re
from urllib.parse import parse_qsl

from nbformat import NotebookNode

FIGURE = re.compile(
    r'<figure class="aevb-figure"[^>]*><div class="aevb-computing" data-figure="(?P<name>\w+)" '
    r'data-state="(?P<state>[^"]*)">.*?</div>(?:<figcaption>(?P<caption>.*?)</figcaption>)?</figure><script>.*?</script>',
    re.DOTALL,
)


def with_names_alone(page: str) -> str:
    """A page with the name, the state and the caption of each figure that computes in the figure's place."""

    def name(found: re.Match[str]) -> str:
        said = [found["name"], html.unescape(found["state"]), html.unescape(found["caption"] or "")]
        return json.dumps(said, ensure_ascii=False)

    return FIGURE.sub(name, page)


def named(output: NotebookNode) -> NotebookNode:
    """An output as it is hashed: of a figure that computes its name, state and caption alone."""
    page = output.get("data", {}).get("text/html", "")
    if (figure := with_names_alone(page)) == page:
        return output
    return NotebookNode(output_type=output.output_type, data={"text/html": figure})


def draw_anew(notebook: NotebookNode) -> None:
    """Store each figure that computes as the package has it now, in place.

    Raises:
        ValueError: the package has no such figure any more.
    """
    from aevb_utils.figures.computing import ComputingFigure  # the other functions do without the package's libraries

    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found = FIGURE.search(output.get("data", {}).get("text/html", ""))
            if not found:
                continue
            state = dict(parse_qsl(html.unescape(found["state"])))
            figure = ComputingFigure(found["name"], caption=html.unescape(found["caption"] or ""), **state)
            output.data = NotebookNode({"text/html": figure._repr_html_(), "text/plain": repr(figure)})
            if picture := figure._repr_png_():
                output.data["image/png"] = base64.b64encode(picture).decode()
