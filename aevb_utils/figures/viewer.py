"""Figures a reader can move: a viewer that needs no kernel.

The viewer is plain HTML with pre-rendered frames: one image, one to three native sliders, a Play button. It works the
same on the website, in JupyterLab and on Colab, offline, by mouse and by keyboard. Its script makes the controls: where
that may not run, as in a notebook that is not trusted, the first frame shows, and a sentence that says what to do.
"""

import base64
import gzip
import hashlib
import html
import io
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from aevb_utils.budget import budget

MAX_FRAMES = 64
WITHOUT_SCRIPT = (
    "The controls of this figure need JavaScript: trust the notebook (in JupyterLab: View, Activate Command Palette, "
    "Trust Notebook), or open this page on the book's website."
)
"""What stands where the controls would be."""


@dataclass(frozen=True)
class Viewer:
    """Pre-rendered frames and the sliders that choose among them; a notebook shows it by itself.

    Made by :func:`viewer`. ``frames`` are in row-major order of the sliders' values.
    """

    frames: tuple[str, ...]  # SVG documents
    alts: tuple[str, ...]  # what each frame shows, in words
    sliders: tuple[tuple[str, tuple[str, ...]], ...]  # name and the label of each position
    caption: str

    def __repr__(self) -> str:
        return f"<Viewer: {len(self.frames)} frames>"

    def _repr_html_(self) -> str:
        names, labels = zip(*self.sliders, strict=True)
        data = {"frames": self.frames, "alts": self.alts, "names": names, "labels": labels}
        packed = base64.b64encode(gzip.compress(json.dumps(data).encode(), mtime=0)).decode()
        key = hashlib.sha256(packed.encode()).hexdigest()[:12]
        return (
            f'<figure class="aevb-viewer" data-viewer="{key}" style="margin: 1em 0">'
            f'<img src="{data_url(self.frames[0])}" alt="{html.escape(self.alts[0])}" '
            f'style="max-width: 100%; height: auto">'
            f'<p class="aevb-still">{WITHOUT_SCRIPT}</p>'
            f"<figcaption>{html.escape(self.caption)}</figcaption>"
            f'<script type="application/gzip">{packed}</script></figure>'
            f"<script>{_SCRIPT.replace('KEY', key)}</script>"
        )


def viewer(
    draw: Callable[..., Figure],
    values: dict[str, Sequence[Any]],
    *,
    alt: Callable[..., str],
    caption: str,
    label: Callable[[Any], str] = str,
) -> Viewer:
    """Render ``draw`` at every combination of ``values`` and return a viewer that needs no kernel.

    In the fast run every slider has its two ends only.

    Args:
        draw: takes the sliders' values by name, returns a figure (which is closed after rendering).
        values: one to three sliders: name and the values it steps through; at most 64 combinations.
        alt: what the frame shows, in words, from the same values: the image's alternative text.
        caption: one or two sentences below the figure.
        label: how a value is written beside its slider.

    Raises:
        ValueError: no slider or more than three, an empty slider, or more than 64 frames.
    """
    count = 1
    for positions in values.values():
        count *= len(positions)
    if not 1 <= len(values) <= 3 or not 1 <= count <= MAX_FRAMES:
        raise ValueError(
            f"A viewer has one to three sliders and 1 to {MAX_FRAMES} frames, not {len(values)} sliders and {count} "
            "frames: pass fewer values."
        )
    values = {name: budget(full=positions, fast=_ends(positions)) for name, positions in values.items()}
    settings = [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    return Viewer(
        frames=tuple(as_svg(draw(**setting)) for setting in settings),
        alts=tuple(alt(**setting) for setting in settings),
        sliders=tuple((name, tuple(label(v) for v in positions)) for name, positions in values.items()),
        caption=caption,
    )


def _ends(positions: Sequence[Any]) -> Sequence[Any]:
    """The first and the last of some positions, if there are two."""
    return positions[:: len(positions) - 1] if len(positions) > 1 else positions


def data_url(svg: str) -> str:
    """An SVG document as an address that an image can hold."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def as_svg(figure: Figure) -> str:
    """The figure as an SVG document with real text (small), without a date; closes the figure."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "aevb"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


# One viewer's behavior. The viewer is found by its key, so that the script also works where it runs after the page has
# loaded; arrow keys are kept from JupyterLab, which would take them as commands.
_SCRIPT = """
document.querySelectorAll('[data-viewer="KEY"]:not([data-ready])').forEach(async (figure) => {
  figure.dataset.ready = 'true';
  const packed = atob(figure.querySelector('script[type="application/gzip"]').textContent);
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  const {frames, alts, names, labels} = await new Response(stream).json();
  const urls = frames.map((frame) => 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(frame));
  const image = figure.querySelector('img');
  const make = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    element.append(...children);
    return element;
  };
  const button = make('button', {type: 'button'}, '▶ Play');
  const sliders = labels.map((values) => make('input', {
    type: 'range', min: 0, max: values.length - 1, step: 1, value: 0, 'aria-valuetext': values[0],
  }));
  const rows = sliders.map((slider, k) => make('label', {}, names[k] + ' ', slider, ' ',
    make('span', {class: 'aevb-value', 'aria-hidden': 'true'}, labels[k][0])));
  const last = sliders[sliders.length - 1];
  let timer = null;

  const show = () => {
    const index = sliders.reduce((row, slider, k) => row * labels[k].length + Number(slider.value), 0);
    sliders.forEach((slider, k) => {
      slider.setAttribute('aria-valuetext', labels[k][slider.value]);
      slider.nextElementSibling.textContent = labels[k][slider.value];
    });
    image.src = urls[index];
    image.alt = alts[index];
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = '▶ Play';
  };
  const advance = () => {
    if (last.value === last.max) return stop();
    last.value = Number(last.value) + 1;
    show();
  };
  button.addEventListener('click', () => {
    if (timer !== null) return stop();
    if (last.value === last.max) { last.value = 0; show(); }
    button.textContent = '⏸ Pause';
    timer = setInterval(advance, 700);
  });
  sliders.forEach((slider) => slider.addEventListener('input', () => { stop(); show(); }));
  figure.addEventListener('keydown', (event) => event.stopPropagation());
  figure.querySelector('.aevb-still').replaceWith(make('div', {class: 'aevb-controls'}, button, ...rows));
});
"""
