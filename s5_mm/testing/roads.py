"""Roads and the traffic on them."""

from __future__ import annotations

import numpy as np

from .canvas import ROAD, Canvas
from .geometry import Cut, bend, rectangle
from .objects import Vehicle, park
from .style import Style, pick


def paint_roads(
    canvas: Canvas,
    style: Style,
    cuts: list[Cut],
    rng: np.random.Generator,
) -> list[Vehicle]:
    """Turn cuts into roads with markings and crossings.

    Args:
        canvas: Where to paint.
        style: Style of the scene.
        cuts: The cuts, main roads first.
        rng: Source of the draws.

    Returns:
        The traffic on the roads.
    """
    scale = style.scale
    kerb = pick(rng, ((164, 160, 150), (140, 128, 104), (120, 122, 92)), 6)
    dirt = pick(rng, ((158, 138, 108), (140, 124, 100)), 8)
    traffic: list[Vehicle] = []
    lanes = []
    for cut in cuts:
        ends = np.stack([cut.start, cut.end])
        paved = cut.level < 2 or rng.random() < 0.75
        width = rng.uniform(5.5, 8.5) * scale * (1 if cut.level < 2 else 0.7)
        lanes.append((ends, width if paved else width * 0.5, paved))
    if rng.random() < 0.25:
        lanes.append((bend(rng, canvas.size, 0.16), rng.uniform(5, 8) * scale, True))
    for ends, width, paved in lanes:
        if paved:
            canvas.ribbon(ends, width + 2.2 * scale, kerb, ROAD)
    for ends, width, paved in lanes:
        canvas.ribbon(ends, width, style.road if paved else dirt, ROAD)
        if len(ends) == 2:
            along = ends[1] - ends[0]
            length, angle = np.linalg.norm(along), np.arctan2(along[1], along[0])
            strip = rectangle(ends.mean(axis=0), length, width + 4 * scale, angle)
            canvas.reserve(strip)
    canvas.taken[canvas.mask == ROAD] = 1
    for ends, width, paved in lanes:
        if not paved or len(ends) != 2:
            continue
        along = (ends[1] - ends[0]) / max(np.linalg.norm(ends[1] - ends[0]), 1e-9)
        near = np.stack([ends[0] + along * 9 * scale, ends[1] - along * 9 * scale])
        if width > 4.5 * scale:
            paint = pick(rng, ((196, 194, 186),), 12)
            canvas.dashes(near, 2.0 * scale, 3.5 * scale, 0.22 * scale, paint)
            for end in near:
                if rng.random() < 0.35:
                    _paint_crossing(canvas, style, end, along, width)
        traffic += _drive(canvas, style, near, width, rng)
    return traffic


def _paint_crossing(
    canvas: Canvas, style: Style, centre: np.ndarray, along: np.ndarray, width: float
) -> None:
    """Paint a zebra crossing over a road."""
    across = np.array([-along[1], along[0]])
    angle = float(np.arctan2(along[1], along[0]))
    for aside in np.arange(-width * 0.4, width * 0.41, 1.2 * style.scale):
        bar = rectangle(
            centre + across * aside, 3 * style.scale, 0.6 * style.scale, angle
        )
        canvas.polygon(bar, (220, 218, 210))


def _drive(
    canvas: Canvas,
    style: Style,
    ends: np.ndarray,
    width: float,
    rng: np.random.Generator,
) -> list[Vehicle]:
    """Draw the traffic on both lanes of a straight road."""
    traffic = []
    length = float(np.linalg.norm(ends[1] - ends[0]))
    along = (ends[1] - ends[0]) / max(length, 1e-9)
    across = np.array([-along[1], along[0]])
    angle = float(np.arctan2(along[1], along[0]))
    density = rng.uniform(0.1, 0.9)
    for lane, heading in ((0.24, angle), (-0.24, angle + np.pi)):
        at = rng.uniform(2, 30) * style.scale
        while at < length:
            centre = ends[0] + along * at + across * width * lane
            if rng.random() < density and canvas.holds(centre):
                traffic.append(park(rng, centre, heading, style.scale))
            at += rng.uniform(8, 26) * style.scale
    return traffic
