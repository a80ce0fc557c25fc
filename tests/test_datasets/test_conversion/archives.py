"""Tiny archives named and built as the owners' ones, and the converters run on them."""

from __future__ import annotations

import io
import json
import runpy
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from s5_mm.cli.command import run_command

TOOLS = Path(__file__).parents[3] / 'tools' / 'dataset_converters'


def picture(seed: int, width: int = 32, height: int = 24) -> np.ndarray:
    """Noise: uint8 (H, W, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def ids(seed: int, classes: int, width: int = 32, height: int = 24) -> np.ndarray:
    """Ids in blocks of 4 px: uint8 (H, W)."""
    rng = np.random.default_rng(1000 + seed)
    small = rng.integers(0, classes, (-(-height // 4), -(-width // 4)), np.uint8)
    return np.kron(small, np.ones((4, 4), np.uint8))[:height, :width]


def encode(array: np.ndarray, kind: str = 'PNG', **kwargs: object) -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **kwargs)
    return file.getvalue()


def pack(path: Path, members: Mapping[str, bytes | str]) -> Path:
    """Write a zip archive with folders as entries, as most tools do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w') as archive:
        for folder in sorted({name.rpartition('/')[0] for name in members} - {''}):
            archive.writestr(f'{folder}/', b'')
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def unpack(source: Path, folder: Path) -> Path:
    """Unpack every archive of a tree beside where it lies, into another tree."""
    for path in source.rglob('*.zip'):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder / path.relative_to(source).parent)
    return folder


def counts(path: Path, name: str, **splits: tuple) -> str:
    """Write a table of counts: split=(images, (width, height), ...)."""
    table = {
        split: {'images': images, 'sizes': [list(size) for size in sizes]}
        for split, (images, *sizes) in splits.items()
    }
    path.write_text(json.dumps({name: {'splits': table}}))
    return str(path)


def convert(name: str, *argv: object) -> int:
    """Run a converter in this process; starting one takes seconds."""
    main = runpy.run_path(str(TOOLS / f'{name}.py'))['main']
    return run_command(main, [str(argument) for argument in argv])


def tree(folder: Path) -> dict[str, bytes]:
    """All files of a destination but its lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file() and path.name != '.lock'
    }
