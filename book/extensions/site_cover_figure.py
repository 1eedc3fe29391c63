"""EM on Old Faithful: where the first page's figure begins, from ``book/cover.json``, and a drawing of that start.

The figure, ``em`` of ``aevb_utils/figures/computing``, computes in the browser; the drawing is for where none may.
"""

import math
from html import escape
from typing import Any

WIDTH, HEIGHT = 440, 236  # of the drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 34, 432, 6, 200  # of the data's frame
DURATIONS, WAITINGS = (1.3, 5.4), (38.0, 100.0)  # in minutes, at the frame's edges
BAR = 224  # where the bar of nats is
SAID = "A guess: two rings, and q one half for each."
DESCRIPTION = (
    "272 eruptions of Old Faithful, the waiting time after each against its duration, in minutes: two clouds, one of "
    "short and one of long eruptions. Two pairs of rings are the two Gaussians of a mixture, before EM has moved them. "
    "Below, a bar of nats: the ELBO, the KL, and at their end the evidence."
)


def start(cover: dict[str, Any]) -> str:
    """The state of the figure at its first half-step, as an address tells it."""
    step = cover["em"]["steps"][0]
    numbers = [1 / len(step["means"])] * len(step["means"])
    numbers += [value for mean in step["means"] for value in mean]
    numbers += [value for (xx, xy), (_, yy) in step["covariances"] for value in (xx, xy, yy)]
    return f"data=faithful&C={len(step['means'])}&theta={','.join(map(str, numbers))}"


def drawing(cover: dict[str, Any]) -> str:
    """The first half-step as HTML."""
    steps = cover["em"]["steps"]
    first = frame(steps[0], nats(steps))
    points = "".join(f'<circle cx="{place(x, 0)}" cy="{place(y, 1)}" r="2.6"/>' for x, y in cover["em"]["points"])
    rings = "".join(
        f'<g class="cover-ring" data-part="{c}" style="transform:matrix({matrix})">'
        '<circle r="1" vector-effect="non-scaling-stroke"/><circle r="2" vector-effect="non-scaling-stroke"/></g>'
        for c, matrix in enumerate(first["rings"])
    )
    return f"""<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(DESCRIPTION)}">
<g class="cover-axes">{axes()}</g>
<g class="cover-points">{points}</g>
<clipPath id="cover-frame"><rect x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}"/></clipPath>
<g clip-path="url(#cover-frame)">{rings}</g>
<g class="cover-bar"><line x1="{LEFT}" x2="{RIGHT}" y1="{BAR}" y2="{BAR}"/>
<rect class="cover-elbo" x="{LEFT}" y="{BAR - 4}" width="{first["elbo"] - LEFT:.1f}" height="8"/>
<rect class="cover-kl" x="{first["elbo"]}" y="{BAR - 4}" width="{first["evidence"] - first["elbo"]:.1f}" height="8"/>
<rect class="cover-evidence" x="{first["evidence"] - 1}" y="{BAR - 9}" width="2.5" height="18"/></g>
</svg>
<p class="cover-said"><span class="cover-nats">evidence <b class="cover-evidence">{first["numbers"][0]}</b> = \
ELBO <b class="cover-elbo">{first["numbers"][1]}</b> + KL <b class="cover-kl">{first["numbers"][2]}</b> nats</span> \
{SAID}</p>"""


def nats(steps: list[dict[str, Any]]) -> tuple[float, float]:
    """The nats at both ends of the bar."""
    low, high = min(step["elbo"] for step in steps), max(step["evidence"] for step in steps)
    return low - 0.25 * (high - low), high + 0.03 * (high - low)


def frame(step: dict[str, Any], scale: tuple[float, float]) -> dict[str, Any]:
    """What the figure shows of a half-step, in its own units."""
    low, high = scale
    evidence, elbo = step["evidence"], step["elbo"]
    return {
        "numbers": [f"{value:.1f}".replace("-", "−") for value in (evidence, elbo, evidence - elbo + 0.0)],
        "evidence": round(LEFT + (RIGHT - LEFT) * (evidence - low) / (high - low), 1),
        "elbo": round(LEFT + (RIGHT - LEFT) * (elbo - low) / (high - low), 1),
        "rings": [ring(*gaussian) for gaussian in zip(step["means"], step["covariances"], strict=True)],
    }


def place(value: float, axis: int) -> float:
    """Where a duration (axis 0) or a waiting time (axis 1) is drawn."""
    if axis == 0:
        return round(LEFT + (RIGHT - LEFT) * (value - DURATIONS[0]) / (DURATIONS[1] - DURATIONS[0]), 1)
    return round(BOTTOM - (BOTTOM - TOP) * (value - WAITINGS[0]) / (WAITINGS[1] - WAITINGS[0]), 1)


def ring(mean: list[float], covariance: list[list[float]]) -> str:
    """The map that takes the unit circle to a Gaussian's first ring, by the Cholesky factor of its covariance."""
    (a, b), (_, c) = covariance
    across = (RIGHT - LEFT) / (DURATIONS[1] - DURATIONS[0])
    up = -(BOTTOM - TOP) / (WAITINGS[1] - WAITINGS[0])
    first = math.sqrt(a)
    lower, second = b / first, math.sqrt(c - b * b / a)
    parts = (first * across, lower * up, 0.0, second * up)
    return ",".join(f"{part:.3g}" for part in parts) + f",{place(mean[0], 0)},{place(mean[1], 1)}"


def axes() -> str:
    """The frame's two axes with their numbers."""
    drawn = [f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"/>']
    drawn += [f'<text x="{place(x, 0)}" y="{BOTTOM + 12}" text-anchor="middle">{x}</text>' for x in range(2, 6)]
    drawn += [f'<text x="{LEFT - 5}" y="{place(y, 1) + 3.5}" text-anchor="end">{y}</text>' for y in (50, 70, 90)]
    drawn.append(f'<text x="{RIGHT}" y="{BOTTOM - 6}" text-anchor="end">minutes it lasted</text>')
    drawn.append(f'<text x="{LEFT + 7}" y="{TOP + 10}">minutes to wait</text>')
    return "".join(drawn)
