"""Buildings, trees and vehicles of the synthetic scenes, seen from above."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from .canvas import BUILDING, TREE, VEHICLE, Canvas, OrientedBox
from .geometry import rectangle
from .style import Color, Style, pick

_PAINTS: tuple[Color, ...] = (
    (232, 232, 230),
    (196, 198, 202),
    (54, 56, 62),
    (92, 96, 104),
    (156, 38, 38),
    (42, 66, 122),
    (206, 190, 160),
    (34, 36, 38),
)


class Building(NamedTuple):
    """A building with a rectangular plan.

    Attributes:
        centre: (x, y) in pixels.
        length: Side along the angle, the longer one, in pixels.
        width: Other side in pixels.
        angle: In radians.
        height: In pixels.
        color: Colour of the roof.
        gable: True for two slopes, False for a flat roof.
    """

    centre: np.ndarray
    length: float
    width: float
    angle: float
    height: float
    color: Color
    gable: bool

    @property
    def corners(self) -> np.ndarray:
        """Corners of its plan, float64 (4, 2)."""
        return rectangle(self.centre, self.length, self.width, self.angle)


class Tree(NamedTuple):
    """A tree.

    Attributes:
        centre: (x, y) in pixels.
        radius: Of the crown, in pixels.
        color: Of the crown.
    """

    centre: np.ndarray
    radius: float
    color: Color


class Vehicle(NamedTuple):
    """A car or a lorry.

    Attributes:
        centre: (x, y) in pixels.
        length: In pixels.
        width: In pixels.
        angle: Direction of travel in radians.
        color: Of its paint.
        large: True for a lorry or a bus.
    """

    centre: np.ndarray
    length: float
    width: float
    angle: float
    color: Color
    large: bool

    @property
    def corners(self) -> np.ndarray:
        """Corners of its box, float64 (4, 2)."""
        return rectangle(self.centre, self.length, self.width, self.angle)


def park(
    rng: np.random.Generator, centre: np.ndarray, angle: float, scale: float
) -> Vehicle:
    """Draw a vehicle at a place.

    Args:
        rng: Source of the draws.
        centre: (x, y) in pixels.
        angle: Its direction in radians.
        scale: Pixels per metre.

    Returns:
        The vehicle.
    """
    large = bool(rng.random() < 0.12)
    length, width = (rng.uniform(7, 11), 2.6) if large else (rng.uniform(4, 5), 1.9)
    paint = pick(rng, _PAINTS, 8)
    heading = angle + rng.normal(0, 0.03)
    return Vehicle(centre, length * scale, width * scale, heading, paint, large)


def _tint(color: Color, factor: float) -> Color:
    """Make a colour lighter or darker."""
    red, green, blue = (min(int(channel * factor), 255) for channel in color)
    return red, green, blue


def cast_shadows(
    canvas: Canvas,
    style: Style,
    buildings: list[Building],
    trees: list[Tree],
    vehicles: list[Vehicle],
) -> None:
    """Let everything that stands cast its shadow on the ground.

    Args:
        canvas: Where to paint.
        style: Style of the scene.
        buildings: They cast a shadow as long as their height demands.
        trees: They cast a round one.
        vehicles: They cast one of 1.5 m height.
    """
    for building in buildings:
        _cast_prism(canvas, building.corners, style.sun * style.reach * building.height)
    for tree in trees:
        offset = style.sun * style.reach * tree.radius * 1.6
        turn = np.arange(12) * (np.pi / 6)
        ring = np.stack([np.cos(turn), np.sin(turn)], axis=1) * tree.radius
        canvas.cast(tree.centre + offset + ring)
    for vehicle in vehicles:
        _cast_prism(
            canvas, vehicle.corners, style.sun * style.reach * 1.5 * style.scale
        )


def _cast_prism(canvas: Canvas, corners: np.ndarray, offset: np.ndarray) -> None:
    """Cast the shadow of an upright prism with a convex plan."""
    both = np.concatenate([corners, corners + offset]).astype(np.float32)
    canvas.cast(cv2.convexHull(both)[:, 0])


def paint_building(
    canvas: Canvas, style: Style, building: Building, rng: np.random.Generator
) -> None:
    """Paint a roof with the sun on it.

    Args:
        canvas: Where to paint.
        style: Style of the scene.
        building: What to paint.
        rng: Source of the draws of roof fittings.
    """
    corners = building.corners
    canvas.polygon(corners, building.color, BUILDING)
    across = np.array([-np.sin(building.angle), np.cos(building.angle)])
    if building.gable:
        # Shadows fall along `sun`, so the slope that looks against it is lit.
        lit = float(across @ style.sun) * 0.28
        ridge = rectangle(building.centre, building.length, 0.0, building.angle)
        canvas.polygon(
            np.stack([corners[0], corners[1], ridge[1], ridge[0]]),
            _tint(building.color, 1 + lit),
        )
        canvas.polygon(
            np.stack([corners[3], corners[2], ridge[1], ridge[0]]),
            _tint(building.color, 1 - lit),
        )
        canvas.ribbon(ridge[:2], 0.35 * style.scale, _tint(building.color, 1.25))
        if rng.random() < 0.5:
            _paint_fittings(canvas, style, building, rng, 1, (0.6, 1.0))
        return
    rim = 0.8 * style.scale
    canvas.polygon(corners, _tint(building.color, 1.15), BUILDING)
    inner = rectangle(
        building.centre,
        max(building.length - rim, 1.0),
        max(building.width - rim, 1.0),
        building.angle,
    )
    canvas.polygon(inner, building.color)
    count = int(rng.integers(1, 6))
    _paint_fittings(canvas, style, building, rng, count, (1.0, 2.6))


def _paint_fittings(
    canvas: Canvas,
    style: Style,
    building: Building,
    rng: np.random.Generator,
    count: int,
    metres: tuple[float, float],
) -> None:
    """Paint chimneys, windows and machines on a roof, each with its shadow."""
    along = np.array([np.cos(building.angle), np.sin(building.angle)])
    across = np.array([-along[1], along[0]])
    for _ in range(count):
        u, v = rng.uniform(-0.36, 0.36, size=2) * (building.length, building.width)
        side = rng.uniform(*metres) * style.scale
        centre = building.centre + u * along + v * across
        box = rectangle(centre, side * rng.uniform(1, 1.8), side, building.angle)
        canvas.polygon(box + style.sun * 0.8 * style.scale, _tint(building.color, 0.6))
        canvas.polygon(box, _tint(building.color, rng.uniform(0.75, 1.35)))


def paint_tree(
    canvas: Canvas, style: Style, tree: Tree, rng: np.random.Generator
) -> None:
    """Paint a crown that is lit from one side.

    Args:
        canvas: Where to paint.
        style: Style of the scene.
        tree: What to paint.
        rng: Source of the draws of the branches.
    """
    canvas.disc(tree.centre, tree.radius, _tint(tree.color, 0.8), TREE)
    if tree.radius < 1.5:
        return
    for aside, share, factor in zip(
        rng.normal(0, 0.3, size=(4, 2)),
        (0.62, 0.5, 0.4, 0.3),
        (0.95, 1.1, 1.25, 1.4),
        strict=True,
    ):
        spot = tree.centre + tree.radius * (
            aside * 0.8 - style.sun * (factor - 0.8) * 0.7
        )
        canvas.disc(spot, tree.radius * share, _tint(tree.color, factor))


def paint_vehicle(canvas: Canvas, vehicle: Vehicle) -> None:
    """Paint a vehicle; its box is added to the canvas by :func:`annotate`.

    Args:
        canvas: Where to paint.
        vehicle: What to paint.
    """
    canvas.polygon(vehicle.corners, vehicle.color, VEHICLE)
    along = np.array([np.cos(vehicle.angle), np.sin(vehicle.angle)])
    glass = (38, 44, 52)
    places = ((0.4, 0.08),) if vehicle.large else ((0.17, 0.16), (-0.3, 0.12))
    for place, share in places:
        centre = vehicle.centre + along * vehicle.length * place
        window = rectangle(
            centre, vehicle.length * share, vehicle.width * 0.8, vehicle.angle
        )
        canvas.polygon(window, glass)


def annotate(canvas: Canvas, vehicle: Vehicle) -> None:
    """Add the box of a vehicle, once everything is painted.

    Boxes whose centre lies off the tile, or of which less than a quarter is to be
    seen, are left out, as in DOTA's tiles.

    Args:
        canvas: Where the vehicle was painted.
        vehicle: The vehicle.
    """
    corners = vehicle.corners
    x, y = np.rint(vehicle.centre).astype(int)
    if not (0 <= x < canvas.size and 0 <= y < canvas.size):
        return
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, canvas.size)
    plan = np.zeros((high[1] - low[1], high[0] - low[0]), dtype=np.uint8)
    cv2.fillPoly(plan, [np.rint((corners - low) * 16).astype(np.int32)], 1, 8, 4)
    seen = (canvas.mask[low[1] : high[1], low[0] : high[0]] == VEHICLE) & (plan > 0)
    share = seen.sum() / max(vehicle.length * vehicle.width, 1.0)
    if share < 0.25:
        return
    cut = (corners < 0).any() or (corners > canvas.size - 1).any()
    label = 'large-vehicle' if vehicle.large else 'small-vehicle'
    canvas.boxes.append(OrientedBox(corners, label, int(cut or share < 0.6)))
