"""What stands on the parcels of the synthetic scenes: houses, halls, cars, trees."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import FIELD, ROAD, Canvas
from .geometry import area, inset, rectangle, sprinkle
from .objects import Building, Tree, Vehicle, park
from .style import Style, pick


class Plan:
    """What stands in a scene, collected before it is painted.

    Attributes:
        buildings: From the first painted to the last.
        trees: Likewise.
        vehicles: Likewise.
    """

    def __init__(self) -> None:
        self.buildings: list[Building] = []
        self.trees: list[Tree] = []
        self.vehicles: list[Vehicle] = []


def build_houses(
    canvas: Canvas,
    style: Style,
    plan: Plan,
    plots: list[np.ndarray],
    rng: np.random.Generator,
) -> None:
    """Put a house and some trees on each of the plots of a parcel.

    Args:
        canvas: Where to paint.
        style: Style of the scene.
        plan: Takes what is built.
        plots: Corners of each, float (N_i, 2).
        rng: Source of the draws.
    """
    scale = style.scale
    for plot in plots:
        if rng.random() < 0.95:
            length, width = rng.uniform(10, 17) * scale, rng.uniform(8, 12) * scale
            angle = style.angle + rng.choice((0, np.pi / 2)) + rng.normal(0, 0.05)
            centre = plot.mean(axis=0) + rng.normal(0, 1.0, size=2) * scale
            gable = bool(rng.random() < 0.8)
            house = Building(
                centre, length, width, angle, rng.uniform(4, 8) * scale,
                pick(rng, style.roofs, 9), gable,
            )  # fmt: skip
            if canvas.free(house.corners):
                plan.buildings.append(house)
                canvas.reserve(house.corners)
                if rng.random() < 0.3:
                    plan.buildings.append(_wing(house, rng))
                    canvas.reserve(plan.buildings[-1].corners)
        _plant(canvas, style, plan, sprinkle(rng, plot, 4), (1.2, 3.0), rng)


def _wing(house: Building, rng: np.random.Generator) -> Building:
    """Draw the lower wing of a house, across one of its ends."""
    along = np.array([np.cos(house.angle), np.sin(house.angle)])
    across = np.array([-along[1], along[0]]) * rng.choice((-1, 1))
    return house._replace(
        centre=house.centre + along * house.length * 0.25 + across * house.width * 0.5,
        length=house.width * 1.1,
        width=house.length * 0.42,
        angle=house.angle + np.pi / 2,
        height=house.height * 0.7,
    )


def build_halls(
    canvas: Canvas,
    style: Style,
    plan: Plan,
    plots: list[np.ndarray],
    rng: np.random.Generator,
) -> None:
    """Put one large, mostly flat-roofed building on each plot of a parcel.

    Args:
        canvas: Where to paint.
        style: Style of the scene.
        plan: Takes what is built.
        plots: Corners of each, float (N_i, 2).
        rng: Source of the draws.
    """
    scale = style.scale
    for plot in plots:
        side = np.sqrt(area(plot)) * rng.uniform(0.6, 0.85)
        ratio = rng.uniform(0.6, 1.0)
        hall = Building(
            plot.mean(axis=0), side / ratio * 0.85, side * ratio, style.angle,
            rng.uniform(6, 16) * scale, pick(rng, style.roofs, 10),
            bool(rng.random() < 0.2),
        )  # fmt: skip
        if canvas.free(hall.corners):
            plan.buildings.append(hall)
            canvas.reserve(hall.corners)


def lay_car_park(
    canvas: Canvas,
    style: Style,
    plan: Plan,
    shape: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Pave a parcel and park rows of vehicles on it.

    Args:
        canvas: Where to paint.
        style: Style of the scene.
        plan: Takes what is built.
        shape: Corners of the parcel, float (N, 2).
        rng: Source of the draws.
    """
    scale = style.scale
    ground = inset(shape, 4 * scale)
    if not canvas.free(ground):
        return
    canvas.polygon(ground, pick(rng, (style.road,), 8), ROAD)
    canvas.reserve(ground)
    along = np.array([np.cos(style.angle), np.sin(style.angle)])
    across = np.array([-along[1], along[0]])
    middle = ground.mean(axis=0)
    room = inset(ground, 4 * scale).astype(np.float32)
    reach = np.ptp(ground, axis=0).max() / 2
    full = rng.uniform(0.3, 0.8)
    for row in np.arange(-reach, reach, 8.5 * scale):
        for slot in np.arange(-reach, reach, 2.7 * scale):
            centre = middle + along * slot + across * row
            if not canvas.holds(centre):
                continue
            if cv2.pointPolygonTest(room, centre.tolist(), False) < 0:
                continue
            line = rectangle(
                centre + along * 1.35 * scale, 0.25 * scale, 5 * scale, style.angle
            )
            canvas.polygon(line, (206, 204, 196))
            if rng.random() < full:
                heading = style.angle + rng.choice((0.5, 1.5)) * np.pi
                plan.vehicles.append(
                    park(rng, centre, heading, scale)._replace(large=False)
                )


def plant_wood(
    canvas: Canvas,
    style: Style,
    plan: Plan,
    shape: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Cover a parcel with trees.

    Args:
        canvas: Where to paint.
        style: Style of the scene.
        plan: Takes what is built.
        shape: Corners of the parcel, float (N, 2).
        rng: Source of the draws.
    """
    shape = inset(shape, 3 * style.scale)
    count = int(np.prod(np.ptp(shape, axis=0)) / (4.2 * style.scale) ** 2)
    points = sprinkle(rng, shape, min(count, 400))
    _plant(canvas, style, plan, points, (1.8, 4.0), rng)


def plant_strays(
    canvas: Canvas,
    style: Style,
    plan: Plan,
    whole: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Plant single trees and small groups wherever there is room.

    Args:
        canvas: Where to paint.
        style: Style of the scene.
        plan: Takes what is built.
        whole: Corners of the land, float (N, 2).
        rng: Source of the draws.
    """
    for centre in sprinkle(rng, whole, int(rng.integers(4, 26))):
        group = centre + rng.normal(0, 4 * style.scale, size=(rng.integers(1, 5), 2))
        _plant(canvas, style, plan, group, (1.4, 3.4), rng)


def _plant(
    canvas: Canvas,
    style: Style,
    plan: Plan,
    points: np.ndarray,
    metres: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Plant a tree at each point of the tile where there is room."""
    for point in points:
        x, y = np.rint(point).astype(int)
        if not (0 <= x < canvas.size and 0 <= y < canvas.size):
            continue
        if canvas.taken[y, x] or canvas.mask[y, x] != FIELD:
            continue
        radius = rng.uniform(*metres) * style.scale
        plan.trees.append(Tree(point, radius, pick(rng, style.crowns, 6)))
