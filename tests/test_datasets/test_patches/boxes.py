"""Images with random oriented boxes in the layout of DOTA."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from s5_mm.datasets.patches import DotaObjects, format_objects
from s5_mm.datasets.patches.dota_objects import make_objects

from ..files import picture, write

CLASSES = ('ship', 'plane', 'small-vehicle')


def random_objects(
    seed: int, width: int, height: int, count: int = 40, whole: bool = False
) -> DotaObjects:
    """Draw boxes around and partly outside of an image; `whole`: whole numbers."""
    generator = np.random.default_rng(seed)
    corners = []
    for _ in range(count):
        centre = generator.uniform(-5, (width + 5, height + 5)).tolist()
        sides = generator.uniform(4, 40, 2).tolist()
        corners.append(
            cv2.boxPoints((centre, sides, generator.uniform(0, 90))).ravel().tolist()
        )
    corners = np.round(corners, 0 if whole else 1)
    return make_objects(
        corners,
        [CLASSES[i] for i in generator.integers(3, size=count)],
        generator.integers(2, size=count),
    )


def dota(root: Path, sizes: list[tuple[int, int]], seed: int = 0, **kwargs) -> Path:
    """Write images of (width, height) with annotations below `root`."""
    for index, (width, height) in enumerate(sizes, seed):
        write(root / 'images' / f'P{index:04d}.png', picture(index, height, width))
        path = root / 'labelTxt' / f'P{index:04d}.txt'
        path.parent.mkdir(exist_ok=True)
        head = 'imagesource:GoogleEarth\ngsd:0.146\n'
        objects = random_objects(index, width, height, **kwargs)
        path.write_text(head + format_objects(objects))
    return root


def tree(root: Path) -> dict[str, bytes]:
    """Read every file below a folder."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }
