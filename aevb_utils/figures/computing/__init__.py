"""Figures that compute: they answer to the reader's own input, in any page where scripts run, without a kernel."""

import html
from collections.abc import Sequence
from urllib.parse import urlencode

from aevb_utils.figures.computing import bundle


class ComputingFigure:
    """A figure that computes in the reader's browser; a notebook shows it by itself, without a network or a kernel.

    ``ComputingFigure("be_q", mean=0.3)`` is the figure of ``computing/js/figures/be_q.js``, with a state that differs
    from its own start where it is given. Where no script runs, its picture shows, and a sentence that says what to do.
    """

    def __init__(
        self, name: str, *, caption: str = "", whole: bool = False, **state: float | str | Sequence[float]
    ) -> None:
        """Choose a figure.

        Args:
            name: the figure's.
            caption: one or two sentences below the figure.
            whole: whether it holds what it would else load from the book's website at the first touch: some figures
                have more than a stored notebook should.
            state: where it begins, by the names in the figure's ``state``.

        Raises:
            ValueError: there is no such figure.
        """
        if name not in bundle.names():
            raise ValueError(f"There is no figure {name!r} that computes: it is one of {', '.join(bundle.names())}.")
        self.name, self.caption, self.whole, self.state = name, caption, whole, state

    def __repr__(self) -> str:
        return f"<ComputingFigure: {self.name}>"

    @property
    def address(self) -> str:
        """Its state as the address of a page has it: ``mean=0.3&sd=0.2``."""
        return urlencode({name: _written(value) for name, value in self.state.items()})

    def _repr_html_(self) -> str:
        still = bundle.picture_address(self.name, self.address)
        element = bundle.markup(self.name, state=self.address, still=still)
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        script = f"{bundle.later_script(self.name) if self.whole else ''}{bundle.bundle([self.name])}"
        start = f"aevbFigures.{bundle.key([self.name])}.mount();"
        figure = f'<figure class="aevb-figure" style="margin: 1em 0">{element}{caption}</figure>'
        return f"{figure}<script>{script}{start}</script>"

    def _repr_png_(self) -> bytes | None:
        path = bundle.still_of(self.name, self.address)
        return path.read_bytes() if path.is_file() else None


def _written(value: float | str | Sequence[float]) -> str:
    """A value as the address of a page has it."""
    return str(value) if isinstance(value, str | int | float) else ",".join(map(str, value))
