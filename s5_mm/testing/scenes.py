"""Small aerial-like scenes, drawn from a seed: picture, mask and oriented boxes.

They stand in for real imagery in tests and in the demo.  Land is cut into parcels;
the first cuts become roads, the parcels become fields, woods, housing, car parks or
ponds, a river may cross it all.  Light, season, sensor and scale differ from scene
to scene, so that a model has something to generalise over.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from .canvas import Canvas, OrientedBox
from .geometry import partition, rectangle
from .ground import paint_ground, paint_pond, paint_river
from .objects import (
    annotate,
    cast_shadows,
    paint_building,
    paint_tree,
    paint_vehicle,
)
from .roads import paint_roads
from .settlement import (
    Plan,
    build_halls,
    build_houses,
    lay_car_park,
    plant_strays,
    plant_wood,
)
from .style import draw_style
from .textures import expose

METAINFO: dict[str, Any] = {
    'classes': ('field', 'road', 'building', 'water', 'tree', 'vehicle'),
    'palette': [
        [170, 200, 110],
        [130, 130, 140],
        [220, 80, 60],
        [60, 130, 210],
        [40, 120, 60],
        [250, 210, 50],
    ],
}
"""Classes of the masks by id, and a colour for each, as mmseg wants them."""

# Shares of what a parcel is used for: field, wood, housing, hall, car park, pond.
_USES = {
    'country': (0.52, 0.15, 0.15, 0.08, 0.02, 0.08),
    'village': (0.16, 0.08, 0.53, 0.12, 0.07, 0.04),
    'town': (0.02, 0.05, 0.4, 0.36, 0.14, 0.03),
}


class Scene(NamedTuple):
    """One synthetic scene.

    Attributes:
        image: The photograph, uint8 (size, size, 3) RGB.
        mask: Class of each pixel, uint8 (size, size), ids of :data:`METAINFO`, or
            255 (ignore) along borders if that was asked for.
        boxes: Vehicles with their oriented boxes.
    """

    image: np.ndarray
    mask: np.ndarray
    boxes: list[OrientedBox]


def draw_scene(
    seed: int,
    index: int,
    size: int = 256,
    gsd: tuple[float, float] = (0.3, 0.6),
    ignore_width: int = 0,
) -> Scene:
    """Draw one scene; a pure function of its arguments.

    Args:
        seed: Seed of the set of scenes, >= 0.
        index: Number of the scene in the set, >= 0.
        size: Side of the tile in pixels, >= 16.
        gsd: Smallest and largest ground sampling distance in metres per pixel.
        ignore_width: Width in pixels of the borders between classes that the mask
            gives as 255; 0 for none.

    Returns:
        The scene.

    Raises:
        ValueError: If ``size`` is below 16 or ``gsd`` is not positive and ordered.
    """
    if size < 16:
        raise ValueError(f'size: {size} found, at least 16 needed')
    if not 0 < gsd[0] <= gsd[1]:
        raise ValueError(f'gsd: {gsd} found, two numbers 0 < low <= high needed')
    rng = np.random.default_rng((seed, index))
    style = draw_style(rng, gsd)
    canvas = Canvas(size, style.grass)
    plan = Plan()
    theme = str(rng.choice(list(_USES), p=(0.25, 0.4, 0.35)))
    # The tile is a window of a larger piece of land that always holds several roads,
    # so that their share does not depend on the size of the tile.
    side = max(1.9 * size, 170 * style.scale)
    away = max(side - 1.5 * size, 0.4 * size) / 2
    middle = size / 2 + rng.uniform(-away, away, size=2)
    whole = rectangle(middle, side, side, style.angle)
    parcel = {'country': 50, 'village': 32, 'town': 38}[theme] * style.scale
    parcels, cuts = partition(rng, whole, parcel**2)
    parcels = [shape for shape in parcels if canvas.meets(shape)]
    uses = rng.choice(6, size=len(parcels), p=_USES[theme])
    # The ground first, then what lies on it, then what stands on it.
    plots: list[list[np.ndarray]] = []
    for shape, use in zip(parcels, uses, strict=True):
        plots.append(paint_ground(canvas, style, shape, int(use), rng))
    if rng.random() < 0.4:
        paint_river(canvas, style, rng)
    for shape, use in zip(parcels, uses, strict=True):
        if use == 5:
            paint_pond(canvas, style, shape, rng)
    depth = {'country': 2, 'village': 3, 'town': 4}[theme]
    roads = [cut for cut in cuts if cut.level < depth]
    plan.vehicles += paint_roads(canvas, style, roads, rng)
    for shape, use, own in zip(parcels, uses, plots, strict=True):
        if use == 1:
            plant_wood(canvas, style, plan, shape, rng)
        elif use == 2:
            build_houses(canvas, style, plan, own, rng)
        elif use == 3:
            build_halls(canvas, style, plan, own, rng)
        elif use == 4:
            lay_car_park(canvas, style, plan, shape, rng)
    plant_strays(canvas, style, plan, whole, rng)
    cast_shadows(canvas, style, plan.buildings, plan.trees, plan.vehicles)
    canvas.shade(style.shade)
    for vehicle in plan.vehicles:
        paint_vehicle(canvas, vehicle)
    for building in plan.buildings:
        paint_building(canvas, style, building, rng)
    for tree in plan.trees:
        paint_tree(canvas, style, tree, rng)
    for vehicle in plan.vehicles:
        annotate(canvas, vehicle)
    image = expose(rng, canvas.image, canvas.mask, style)
    mask = canvas.mask
    if ignore_width:
        kernel = np.ones((ignore_width + 1, ignore_width + 1), dtype=np.uint8)
        mask[cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, kernel) > 0] = 255
    return Scene(image, mask, canvas.boxes)
