"""Small images and masks written for the tests of the data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

META = {'classes': ('a', 'b', 'c')}
LABELLED = [
    {'type': 's5_mm.LoadImage'},
    {'type': 's5_mm.LoadMask'},
    {'type': 's5_mm.RandomGeometry', 'crop_size': 24},
    {'type': 's5_mm.PackSample'},
]
UNLABELLED = [LABELLED[0], *LABELLED[2:]]


def picture(seed: int = 0, height: int = 32, width: int = 40) -> np.ndarray:
    """Draw noise that differs by seed: uint8 (H, W, 3)."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, 3), np.uint8)


def ids(seed: int = 0, height: int = 32, width: int = 40) -> np.ndarray:
    """Draw class ids 0..2: uint8 (H, W)."""
    return np.random.default_rng(seed).integers(0, 3, (height, width), np.uint8)


def write(path: Path, array: np.ndarray, **kwargs: object) -> str:
    """Save an array as an image and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **kwargs)
    return str(path)


def labelled(root: Path, count: int = 4) -> Path:
    """Write `count` pairs below `root` in mmseg's layout."""
    for index in range(count):
        write(root / 'img_dir' / f'{index}.png', picture(index))
        write(root / 'ann_dir' / f'{index}.png', ids(index))
    return root


def unlabelled(root: Path, count: int = 6) -> Path:
    """Write `count` images below `root`, of different sizes."""
    for index in range(count):
        write(root / f'{index}.png', picture(100 + index, 30 + index, 50 - index))
    return root


def sources(root: Path, labels: int = 4, images: int = 6) -> dict:
    """Write both and give the sources of a MultiSourceDataset."""
    return {
        'sup': {
            'type': 's5_mm.SegDataset',
            'data_root': str(labelled(root / 'l', labels)),
            'metainfo': META,
            'pipeline': LABELLED,
        },
        'unsup': {
            'type': 's5_mm.UnlabelledDataset',
            'data_dir': str(unlabelled(root / 'u', images)),
            'pipeline': UNLABELLED,
        },
    }
