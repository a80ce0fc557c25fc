"""The packages an environment should hold, the versions admitted, the ones it has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TASKS = ('seg', 'curation', 'det', 'all')


@dataclass(frozen=True)
class Piece:
    """One package to look at.

    Attributes:
        module: Import name.
        distribution: Name on the package index.
        tasks: Tasks that need it.
    """

    module: str
    distribution: str
    tasks: tuple[str, ...]


SEG = ('seg', 'curation', 'all')
EVERY = TASKS
PIECES = (
    Piece('numpy', 'numpy', EVERY),
    Piece('torch', 'torch', EVERY),
    Piece('torchvision', 'torchvision', EVERY),
    Piece('cv2', 'opencv-python-headless', EVERY),
    Piece('PIL', 'pillow', EVERY),
    Piece('pyarrow', 'pyarrow', EVERY),
    Piece('tensorboard', 'tensorboard', EVERY),
    Piece('mmengine', 'onedl-mmengine', EVERY),
    Piece('mmcv', 'onedl-mmcv', EVERY),
    Piece('mmcv._ext', 'onedl-mmcv', ('det', 'all')),
    Piece('mmseg', 'onedl-mmsegmentation', SEG),
    Piece('mmdet', 'onedl-mmdetection', ('det', 'all')),
    Piece('mmrotate', 'onedl-mmrotate', ('det', 'all')),
    Piece('faiss', 'faiss-cpu', ('curation', 'all')),
    Piece('rasterio', 'rasterio', ('curation', 'all')),
    Piece('s5_mm', 's5_mm', EVERY),
)
# Distributions that write the same folders as the maintained ones.
RIVALS = {
    'mmcv': 'onedl-mmcv',
    'mmcv-full': 'onedl-mmcv',
    'mmcv-lite': 'onedl-mmcv',
    'mmengine': 'onedl-mmengine',
    'mmengine-lite': 'onedl-mmengine',
    'mmsegmentation': 'onedl-mmsegmentation',
    'mmdet': 'onedl-mmdetection',
    'mmrotate': 'onedl-mmrotate',
}


def version_of(distribution: str) -> str | None:
    """Installed version of a distribution, ``None`` if there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def release(version: str) -> tuple[int, ...]:
    """Turn ``'1.4.0.post1+cpu'`` into ``(1, 4, 0)``, for comparison."""
    found = re.match(r'\d+(\.\d+)*', version)
    return tuple(int(part) for part in found[0].split('.')) if found else ()


def floors() -> dict[str, str]:
    """Lowest admitted version per distribution.

    Returns:
        From ``requirements/*.txt`` in a checkout, else from the metadata of the
        installed package; empty if neither is there.
    """
    lines: list[str] = []
    folder = ROOT / 'requirements'
    if (ROOT / 'setup.py').exists() and folder.is_dir():
        for name in ('runtime', 'det', 'curation', 'geo'):
            lines += (folder / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    elif version_of('s5_mm') is not None:
        lines = metadata.requires('s5_mm') or []
    found = (re.match(r'([A-Za-z0-9._-]+)>=([\w.]+)', line) for line in lines)
    return {match[1].lower(): match[2] for match in found if match}


def torchvision_for(torch_version: str) -> str:
    """Version specifier of the torchvision made with a torch.

    torchvision 0.20 came with torch 2.5, and one minor release of the one has followed
    each of the other since, except 0.29, whose patches serve torch 2.14 and 2.15.

    Args:
        torch_version: E.g. ``'2.11.0+cu128'``.

    Returns:
        E.g. ``'torchvision==0.26.*'``.
    """
    known = {(2, 15): '0.29.2', (2, 14): '0.29.1'}
    major, minor = (*release(torch_version), 0, 0)[:2]
    return f'torchvision=={known.get((major, minor), f"0.{minor + 15}.*")}'
