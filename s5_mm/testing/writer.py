"""Synthetic data sets on disk, in the layouts that mmseg and mmrotate read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .canvas import OrientedBox
from .defects import DEFECTS, encode_png, spoil
from .scenes import draw_scene

STAMP = 'dataset.json'
"""Name of the file that says with what arguments a data set was drawn."""

# Raise it when the pictures change, so that old copies are drawn anew.
_FORMAT = 2
# Streams of scenes that never meet, whatever the number of scenes.
_TRAIN, _VAL, _UNLABELLED, _DEFECT = range(4)


def write_dataset(
    root: str | Path,
    num_labelled: int,
    num_unlabelled: int,
    num_val: int,
    size: int = 256,
    seed: int = 0,
    broken: Mapping[str, int] | None = None,
    gsd: tuple[float, float] = (0.3, 0.6),
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a synthetic data set; one process per ``root`` at a time.

    The layout is ``{img_dir,ann_dir,annfiles}/{train,val}`` with images and masks as
    PNG and oriented boxes in DOTA's text format, and ``unlabelled/`` with images
    alone.  It appears whole or not at all.  A data set that was drawn with the same
    arguments is kept as it is, one with other arguments is replaced.

    Args:
        root: Folder to write.
        num_labelled: Number of scenes with annotations, in ``train``.
        num_unlabelled: Number of unlabelled images, the broken ones included.
        num_val: Number of scenes with annotations, in ``val``.
        size: Side of the tiles in pixels.
        seed: Seed of the scenes; a scene depends on it, its set and its number alone.
        broken: How many of the unlabelled images have which defect, by the names in
            :data:`s5_mm.testing.DEFECTS`; none by default.
        gsd: Smallest and largest ground sampling distance in metres per pixel.
        progress: Called with the number of scenes that are written and that there
            will be.

    Returns:
        The folder.

    Raises:
        ValueError: If ``broken`` names an unknown defect or asks for more images
            than there are.
        FileExistsError: If ``root`` exists and is not such a data set.
    """
    root, broken = Path(root), dict(broken or {})
    if unknown := set(broken) - set(DEFECTS):
        raise ValueError(f'broken: {sorted(unknown)} found, allowed are {DEFECTS}')
    if sum(broken.values()) > num_unlabelled:
        raise ValueError(
            f'broken: {sum(broken.values())} bad images asked for, but '
            f'num_unlabelled is {num_unlabelled}'
        )
    arguments = {
        'format': _FORMAT,
        'num_labelled': num_labelled,
        'num_unlabelled': num_unlabelled,
        'num_val': num_val,
        'size': size,
        'seed': seed,
        'broken': broken,
        'gsd': list(gsd),
    }
    if root.exists() and _is_current(root, arguments):
        return root
    partial = root.with_name(f'.{root.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write(partial, arguments, progress)
        shutil.rmtree(root, ignore_errors=True)
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


def planted_defects(root: str | Path) -> dict[str, str]:
    """Tell which unlabelled images of a data set are bad.

    Args:
        root: Folder that :func:`write_dataset` wrote.

    Returns:
        File names below ``unlabelled/`` and their defects, in the order of the names;
        '' for the good ones.

    Raises:
        FileNotFoundError: If it is no such folder.
    """
    stamp = Path(root) / STAMP
    if not stamp.is_file():
        raise FileNotFoundError(f'{stamp}: does not exist, so no data set was drawn')
    arguments = json.loads(stamp.read_text(encoding='utf-8'))
    defects = _defects(arguments)
    return {
        f'{number:06d}.png': defects.get(number, '')
        for number in range(arguments['num_unlabelled'])
    }


def dota_text(boxes: Sequence[OrientedBox]) -> str:
    """Write boxes the way DOTA does.

    Args:
        boxes: The boxes of one image.

    Returns:
        A line for each: eight coordinates, class and difficulty.
    """
    lines = []
    for box in boxes:
        numbers = ' '.join(f'{value:.1f}' for value in box.corners.ravel())
        lines.append(f'{numbers} {box.label} {box.difficult}\n')
    return ''.join(lines)


def _is_current(root: Path, arguments: Mapping[str, Any]) -> bool:
    """Tell whether a folder holds the data set; refuse what is no data set."""
    stamp = root / STAMP
    if stamp.is_file():
        return json.loads(stamp.read_text(encoding='utf-8')) == arguments
    if not root.is_dir() or any(root.iterdir()):
        raise FileExistsError(
            f'{root}: exists and has no {STAMP}, so it was not drawn by this '
            'function and is not replaced; name a new or an empty folder'
        )
    return False


def _write(
    folder: Path,
    arguments: Mapping[str, Any],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write all files of a data set into an empty folder, the stamp last."""
    size, seed, gsd = arguments['size'], arguments['seed'], tuple(arguments['gsd'])
    counts = {
        'train': (_TRAIN, arguments['num_labelled']),
        'val': (_VAL, arguments['num_val']),
        'unlabelled': (_UNLABELLED, arguments['num_unlabelled']),
    }
    defects, done = _defects(arguments), 0
    total = sum(count for _, count in counts.values())
    for kind in ('img_dir', 'ann_dir', 'annfiles'):
        for split in ('train', 'val'):
            (folder / kind / split).mkdir(parents=True)
    (folder / 'unlabelled').mkdir()
    for split, (stream, count) in counts.items():
        for i in range(count):
            scene = draw_scene(seed * 4 + stream, i, size, gsd)
            if split != 'unlabelled':
                _dump(folder / 'img_dir' / split / f'{i:06d}.png', scene.image)
                _dump(folder / 'ann_dir' / split / f'{i:06d}.png', scene.mask)
                boxes = folder / 'annfiles' / split / f'{i:06d}.txt'
                boxes.write_text(dota_text(scene.boxes), encoding='utf-8')
            elif i in defects:
                rng = np.random.default_rng((seed * 4 + _DEFECT, i))
                data = spoil(scene.image, defects[i], rng)
                (folder / split / f'{i:06d}.png').write_bytes(data)
            else:
                _dump(folder / split / f'{i:06d}.png', scene.image)
            done += 1
            if progress:
                progress(done, total)
    text = json.dumps(arguments, indent=2, sort_keys=True)
    (folder / STAMP).write_text(text + '\n', encoding='utf-8')


def _defects(arguments: Mapping[str, Any]) -> dict[int, str]:
    """Choose which unlabelled images are bad, as {number: defect}."""
    kinds = [k for k, n in sorted(arguments['broken'].items()) for _ in range(n)]
    rng = np.random.default_rng((arguments['seed'] * 4 + _DEFECT,))
    where = rng.permutation(arguments['num_unlabelled'])[: len(kinds)]
    return dict(zip(where.tolist(), kinds, strict=True))


def _dump(path: Path, image: np.ndarray) -> None:
    """Write a picture as PNG."""
    path.write_bytes(encode_png(image))
