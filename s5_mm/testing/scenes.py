"""Small aerial-like scenes of one city: picture, mask and oriented boxes.

They stand in for real imagery in tests and in the demo.  Land is cut into parcels; the
first cuts become roads, the parcels fields, woods, housing, yards, car parks or ponds.
Season, light, haze, sensor and scale differ from scene to scene, so that a few labelled
scenes show little of what the others look like.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from s5_mm.utils.argument_checks import check_number

from .canvas import BUILDING, ROAD, TREE, VEHICLE, WATER, Canvas, OrientedBox
from .geometry import Cut, bend, inset, partition, rectangle, sprinkle

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

# Two colours of each kind of surface, 8-bit sRGB: in summer and after the harvest, and
# where the season does not matter the ends of what is found in the city.
_COLORS = {
    'grass': ((104, 124, 70), (146, 134, 96)),
    'crop': ((92, 122, 60), (186, 164, 112)),
    'soil': ((112, 90, 72), (142, 124, 104)),
    'crown': ((44, 70, 38), (116, 90, 48)),
    'roof': ((160, 84, 62), (92, 94, 100)),
    'hall': ((204, 200, 194), (116, 120, 126)),
    'water': ((34, 58, 66), (92, 94, 74)),
    'road': ((94, 94, 98), (150, 146, 140)),
    'yard': ((168, 152, 126), (136, 132, 126)),
    'car': ((232, 232, 230), (40, 42, 48)),
}
_SEASONAL = ('grass', 'crop', 'crown')
_USES = ('field', 'wood', 'housing', 'yard', 'car park', 'pond')
# Shares of the uses in the country and in the town.
_SHARES = ((0.36, 0.2, 0.22, 0.08, 0.06, 0.08), (0.04, 0.1, 0.44, 0.22, 0.15, 0.05))
# Strength of the fine and of the coarse texture of each class, by id.
_FINE = np.array([0.06, 0.03, 0.03, 0.012, 0.13, 0.02], dtype=np.float32)
_COARSE = np.array([0.07, 0.05, 0.02, 0.05, 0.06, 0.0], dtype=np.float32)


class Scene(NamedTuple):
    """One synthetic scene.

    Attributes:
        image: The photograph, uint8 (size, size, 3) RGB.
        mask: Class of each pixel, uint8 (size, size), ids of :data:`METAINFO`.
        boxes: Vehicles with their oriented boxes.
    """

    image: np.ndarray
    mask: np.ndarray
    boxes: list[OrientedBox]


def draw_scene(
    seed: int, index: int, size: int = 256, gsd: tuple[float, float] = (0.3, 0.6)
) -> Scene:
    """Draw one scene; a pure function of its arguments.

    Args:
        seed: Seed of the set of scenes, >= 0.
        index: Number of the scene in the set, >= 0.
        size: Side of the tile in pixels, >= 16.
        gsd: Smallest and largest ground sampling distance in metres per pixel.

    Returns:
        The scene.

    Raises:
        ValueError: If ``size`` is below 16 or ``gsd`` is not positive and ordered.
    """
    check_number('size', size, 16)
    if not 0 < gsd[0] <= gsd[1]:
        raise ValueError(f'gsd: {gsd} found, two numbers 0 < low <= high needed')
    painter = _Painter(np.random.default_rng((seed, index)), size, gsd)
    painter.paint()
    found = (painter.canvas.box(*vehicle) for vehicle in painter.vehicles)
    boxes = [box for box in found if box]
    return Scene(painter.photograph(), painter.canvas.mask, boxes)


class _Painter:
    """Paints one scene; all lengths in its methods are metres."""

    def __init__(
        self, rng: np.random.Generator, size: int, gsd: tuple[float, float]
    ) -> None:
        self.rng = rng
        self.scale = float(np.exp(-rng.uniform(*np.log(gsd))))  # pixels per metre
        self.angle = rng.uniform(0, np.pi)
        turn = rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.35, 1.1)  # length of a shadow over the height
        self.sun = np.array([np.cos(turn), np.sin(turn)]) * reach * self.scale
        self.left = rng.uniform(0.35, 0.6)  # brightness in a shadow
        season = rng.random()
        self.mix = {
            kind: season if kind in _SEASONAL else rng.random() for kind in _COLORS
        }
        self.vehicles: list[tuple[np.ndarray, str]] = []
        self.canvas = Canvas(size, self._color('grass', 0))

    def _color(self, kind: str, spread: float = 7, vary: float = 0.15) -> np.ndarray:
        """Draw a colour of a kind of surface, float (3,)."""
        first, second = np.array(_COLORS[kind], dtype=float)
        share = np.clip(self.mix[kind] + self.rng.normal(0, vary), 0, 1)
        noise = self.rng.standard_normal() + self.rng.standard_normal(3) / 3
        return first + share * (second - first) + spread * noise

    def paint(self) -> None:
        """Paint the ground, then what is on it, then what stands on it."""
        rng, size = self.rng, self.canvas.size
        # The tile is a window of a larger piece of land that always has several roads,
        # so that their share does not depend on the size of the tile.
        side = max(1.9 * size, 170 * self.scale)
        away = max(side - 1.5 * size, 0.4 * size) / 2
        middle = size / 2 + rng.uniform(-away, away, size=2)
        whole = rectangle(middle, side, side, self.angle)
        town = rng.random() < 0.65
        parcels, cuts = partition(rng, whole, ((36 if town else 46) * self.scale) ** 2)
        parcels = [
            shape
            for shape in parcels
            if (shape.max(axis=0) > 0).all() and (shape.min(axis=0) < size).all()
        ]
        uses = rng.choice(_USES, size=len(parcels), p=_SHARES[town])
        land = list(zip(parcels, uses, strict=True))
        for shape, use in land:
            self._lay(shape, use)
        if rng.random() < 0.35:
            curve, width = bend(rng, size, 0.12), rng.uniform(7, 22) * self.scale
            self.canvas.ribbon(curve, width * 1.2, self._color('soil'))
            self.canvas.ribbon(curve, width, self._color('water'), WATER)
        self._pave([cut for cut in cuts if cut.level < (4 if town else 2)])
        for shape, use in land:
            if use == 'wood':
                self._plant(sprinkle(rng, shape, 120))
            elif use in ('housing', 'yard'):
                self._build(shape, hall=use == 'yard')
            elif use == 'car park':
                self._park(inset(shape, 5 * self.scale))
        for point in sprinkle(rng, whole, int(rng.integers(15, 45))):
            self._plant(point + rng.normal(0, 4 * self.scale, (3, 2)))

    def _lay(self, shape: np.ndarray, use: str) -> None:
        """Lay the ground of a parcel."""
        if use == 'pond':
            turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)[:, None]
            uneven = 1 + 0.16 * np.sin(2 * turn + self.rng.uniform(0, 6.3))
            shore = np.concatenate([np.cos(turn), np.sin(turn)], axis=1) * uneven
            radius = np.ptp(shape, axis=0).min() * self.rng.uniform(0.2, 0.35)
            shore = shape.mean(axis=0) + radius * shore
            self.canvas.polygon(shore, self._color('water'), WATER)
        elif use in ('field', 'yard'):
            kinds = ('yard',) if use == 'yard' else ('crop', 'crop', 'soil')
            color = self._color(str(self.rng.choice(kinds)), 9)
            self.canvas.polygon(inset(shape, self.scale), color)
            if use == 'field':  # rows of the machines
                heading = self.angle + self.rng.choice((0, np.pi / 2))
                along = np.array([np.cos(heading), np.sin(heading)])
                gap = self.rng.uniform(3, 7) * self.scale
                across = np.array([-along[1], along[0]]) * max(gap, 3)
                middle, reach = shape.mean(axis=0), np.ptp(shape, axis=0).min() * 0.35
                for step in range(-8, 9):
                    if abs(step) * max(gap, 3) < reach:
                        line = middle + step * across + np.outer((-1, 1), along * reach)
                        self.canvas.ribbon(line, max(gap / 4, 1), color * 0.9)

    def _pave(self, cuts: list[Cut]) -> None:
        """Turn borders of parcels into roads with traffic."""
        color, edge = self._color('road', 0), self._color('yard')
        roads = [
            (np.stack([cut.start, cut.end]), self.rng.uniform(5.5, 7.5) * self.scale)
            for cut in cuts
        ]
        for ends, width in roads:
            self.canvas.ribbon(ends, width + 1.6 * self.scale, edge, ROAD)
        for ends, width in roads:
            self.canvas.ribbon(ends, width, color, ROAD)
        for ends, width in roads:
            length = float(np.linalg.norm(ends[1] - ends[0]))
            along = (ends[1] - ends[0]) / length
            across = np.array([-along[1], along[0]])
            heading = float(np.arctan2(along[1], along[0]))
            for lane in (-0.24, 0.24):
                at = self.rng.uniform(2, 30) * self.scale
                while at < length:
                    centre = ends[0] + along * at + across * width * lane
                    self._vehicle(centre, heading)
                    at += self.rng.uniform(7, 24) * self.scale

    def _vehicle(self, centre: np.ndarray, heading: float) -> None:
        """Put a car or, less often, a lorry somewhere on the tile."""
        if (centre < 0).any() or (centre > self.canvas.size - 1).any():
            return
        large = self.rng.random() < 0.12
        metres = (self.rng.uniform(7, 11), 2.6) if large else (4.6, 1.9)
        length, width = np.array(metres) * self.scale
        corners = rectangle(centre, length, width, heading + self.rng.normal(0, 0.03))
        shadow = np.concatenate([corners, corners + self.sun * 1.5])
        self.canvas.shade(shadow, self.left)
        color = self._color('car', 24, vary=1.0)
        self.canvas.polygon(corners, color, VEHICLE)
        glass = rectangle(centre, length * 0.3, width * 0.8, heading)
        self.canvas.polygon(glass, color * 0.4)
        self.vehicles.append((corners, 'large-vehicle' if large else 'small-vehicle'))

    def _build(self, shape: np.ndarray, hall: bool) -> None:
        """Put a hall or houses with gardens on a parcel."""
        rng, scale = self.rng, self.scale
        margin, plot = (5, 24) if hall else (3, 15)
        plots, _ = partition(rng, inset(shape, margin * scale), (plot * scale) ** 2)
        for ground in plots:
            if hall:
                length, width = np.ptp(ground, axis=0) * rng.uniform(0.4, 0.75, size=2)
            else:
                length, width = rng.uniform((9, 7), (16, 12)) * scale
            angle = self.angle + rng.choice((0, np.pi / 2)) + rng.normal(0, 0.05)
            centre = ground.mean(axis=0)
            corners = rectangle(centre, length, width, angle)
            if self.canvas.free(corners):
                height = rng.uniform(6, 14) if hall else rng.uniform(4, 8)
                kind = 'hall' if hall or rng.random() < 0.15 else 'roof'
                self._roof(corners, height, self._color(kind, 9, vary=0.25), hall)
        for ground in () if hall else plots:
            self._plant(sprinkle(rng, ground, 6), smallest=1.2)

    def _roof(
        self, corners: np.ndarray, height: float, color: np.ndarray, flat: bool
    ) -> None:
        """Paint a building with its shadow, two slopes or a flat roof."""
        shadow = np.concatenate([corners, corners + self.sun * height])
        self.canvas.shade(shadow, self.left)
        self.canvas.polygon(corners, color, BUILDING)
        middle = corners.mean(axis=0)
        if flat:
            self.canvas.polygon(middle + (corners - middle) * 0.9, color * 0.93)
            for _ in range(3):
                spot = middle + (corners[0] - middle) * self.rng.uniform(-0.6, 0.6, 2)
                side = self.rng.uniform(1, 3) * self.scale
                box = rectangle(spot, side, side, self.angle)
                self.canvas.polygon(box, color * self.rng.uniform(0.6, 1.3))
            return
        # Shadows fall along the sun, so the slope that looks against it is lit.
        ridge = (corners[[0, 1]] + corners[[3, 2]]) / 2
        across = (corners[3] - corners[0]) / np.linalg.norm(corners[3] - corners[0])
        lit = 0.25 * float(across @ self.sun) / self.scale
        slopes = np.concatenate([corners[:2], ridge[::-1]])
        self.canvas.polygon(slopes, color * (1 + lit))
        slopes = np.concatenate([corners[:1:-1], ridge[::-1]])
        self.canvas.polygon(slopes, color * (1 - lit))

    def _park(self, shape: np.ndarray) -> None:
        """Pave a parcel and park vehicles on it in rows."""
        if not self.canvas.free(shape):
            return
        self.canvas.polygon(shape, self._color('road'), ROAD)
        along = np.array([np.cos(self.angle), np.sin(self.angle)])
        across = np.array([-along[1], along[0]])
        full, room = self.rng.uniform(0.5, 0.95), inset(shape, 4 * self.scale)
        for row in range(-6, 7):
            for slot in range(-14, 15):
                offset = along * slot * 2.9 + across * row * 9
                centre = shape.mean(axis=0) + offset * self.scale
                inside = cv2.pointPolygonTest(
                    room.astype(np.float32), centre.tolist(), False
                )
                if inside > 0 and self.rng.random() < full:
                    self._vehicle(centre, self.angle + np.pi / 2)

    def _plant(self, points: np.ndarray, smallest: float = 1.7) -> None:
        """Plant a tree at each point where there is open ground or another tree."""
        size = self.canvas.size
        for centre in points:
            x, y = np.rint(centre).astype(int)
            if not (0 <= x < size and 0 <= y < size):
                continue
            if self.canvas.mask[y, x] not in (0, TREE):
                continue
            radius = self.rng.uniform(smallest, 4.0) * self.scale
            turn = np.arange(14)[:, None] * (2 * np.pi / 14)
            ring = np.concatenate([np.cos(turn), np.sin(turn)], axis=1) * radius
            ring *= self.rng.uniform(0.85, 1.1, size=(14, 1))
            color = self._color('crown', 6)
            self.canvas.shade(centre + self.sun * radius / self.scale + ring, self.left)
            self.canvas.polygon(centre + ring, color * 0.85, TREE)
            for share, light in ((0.6, 1.0), (0.35, 1.25)):
                spot = centre - self.sun * radius / self.scale * (light - 0.8)
                self.canvas.polygon(spot + ring * share, color * light)

    def photograph(self) -> np.ndarray:
        """Add texture, haze, colour cast, blur and noise, uint8 (size, size, 3)."""
        rng, canvas = self.rng, self.canvas
        grain = self._noise(1.2) + self._noise(3)
        clouds = self._noise(9 * self.scale) + self._noise(22 * self.scale)
        texture = 1 + _FINE[canvas.mask] * grain + _COARSE[canvas.mask] * clouds
        light = canvas.image * texture[..., None]
        haze = rng.uniform(0.0, 0.22)
        light *= (1 - haze) * rng.uniform(0.82, 1.18) * rng.uniform(0.92, 1.08, size=3)
        light += haze * np.array([176, 184, 196])
        if (blur := rng.uniform(0.0, 0.8)) > 0.3:
            light = cv2.GaussianBlur(light, (0, 0), blur)
        light += rng.uniform(1.0, 5.0) * rng.standard_normal(light.shape)
        return np.clip(np.rint(light), 0, 255).astype(np.uint8)

    def _noise(self, cell: float) -> np.ndarray:
        """Draw noise with bumps ``cell`` pixels apart, float32 (size, size)."""
        size, cell = self.canvas.size, max(cell, 1.0)
        knots = int(np.ceil(size / cell)) + 3
        coarse = self.rng.standard_normal((knots, knots), dtype=np.float32)
        span = int(np.ceil(knots * cell))
        return cv2.resize(coarse, (span, span))[:size, :size]
