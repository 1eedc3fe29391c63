"""The live twin of a viewer: a figure that a running kernel draws anew."""

import html
from collections.abc import Callable
from types import ModuleType
from typing import Any

from IPython.display import display
from matplotlib.figure import Figure

from aevb_utils.figures.viewer import as_svg, data_url


def live(draw: Callable[..., Figure], **controls: tuple[float, float, float, float] | list[Any]) -> None:
    """Show ``draw`` with controls that call it anew in the running kernel.

    For cells tagged ``live``: their output is not stored, so the website never shows a dead widget.

    Args:
        draw: takes the controls' values by name, returns a figure.
        controls: for each name either a slider's smallest value, largest value, step and start (whole numbers stay
            whole), or the list of values of a drop-down, of which the first is the start.

    Raises:
        ValueError: a control is neither of the two.
    """
    import ipywidgets  # only a running notebook needs it

    widgets = {name: _control(ipywidgets, name, values) for name, values in controls.items()}
    picture = ipywidgets.HTML()

    def show(_: object = None) -> None:
        setting = {name: widget.value for name, widget in widgets.items()}
        alt = ", ".join(
            f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}"
            for name, value in setting.items()
        )
        picture.value = f'<img src="{data_url(as_svg(draw(**setting)))}" alt="The figure at {html.escape(alt)}">'

    for widget in widgets.values():
        widget.observe(show, names="value")
    show()
    display(ipywidgets.VBox([*widgets.values(), picture]))


def _control(ipywidgets: ModuleType, name: str, values: tuple[float, ...] | list[Any]) -> Any:  # noqa: ANN401
    """A slider for a tuple of four numbers, a drop-down for a list of values."""
    if isinstance(values, list) and values:
        return ipywidgets.Dropdown(options=values, value=values[0], description=name)
    if not isinstance(values, tuple) or len(values) != 4:
        raise ValueError(
            f"{name} must be (smallest value, largest value, step, start) for a slider or a list of values for a "
            f"drop-down, not {values!r}."
        )
    low, high, step, start = values
    whole = all(isinstance(value, int) for value in values)
    slider = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    return slider(start, min=low, max=high, step=step, description=name, continuous_update=False)
