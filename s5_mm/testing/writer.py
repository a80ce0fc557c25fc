"""Synthetic data sets on disk, in the layouts that mmseg and mmrotate read."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

from .canvas import OrientedBox
from .defects import DEFECTS, encode_png, spoil
from .scenes import draw_scene

STAMP = 'dataset.json'
"""Name of the file that says with what arguments a data set was drawn."""

# Raise it when the pictures change, so that old copies are drawn anew.
_FORMAT = 1
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
    """Write a synthetic data set.

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
    root = Path(root)
    broken = dict(broken or {})
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
    root.parent.mkdir(parents=True, exist_ok=True)
    _sweep(root)
    partial = root.parent / f'{_prefix(root)}{os.getpid()}'
    partial.mkdir()
    try:
        _write(partial, arguments, progress)
        if root.exists():
            old = partial / 'old'
            root.rename(old)
            shutil.rmtree(old)
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


def dota_text(boxes: list[OrientedBox]) -> str:
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


def _is_current(root: Path, arguments: dict) -> bool:
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


def _prefix(root: Path) -> str:
    """Name of the unfinished copies that this machine makes of a data set."""
    return f'.{root.name}.{socket.gethostname()}.'


def _sweep(root: Path) -> None:
    """Remove what killed writers on this machine left behind."""
    for path in root.parent.iterdir():
        prefix, _, pid = path.name.rpartition('.')
        if prefix + '.' != _prefix(root) or not pid.isdigit():
            continue
        if int(pid) != os.getpid() and not _alive(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    """Tell whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _write(
    folder: Path, arguments: dict, progress: Callable[[int, int], None] | None
) -> None:
    """Write all files of a data set into an empty folder, the stamp last."""
    size, seed, gsd = arguments['size'], arguments['seed'], tuple(arguments['gsd'])
    total = sum(arguments[f'num_{s}'] for s in ('labelled', 'unlabelled', 'val'))
    done = 0
    # One thread is faster for pictures of this size.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for split, stream in (('train', _TRAIN), ('val', _VAL)):
            for kind in ('img_dir', 'ann_dir', 'annfiles'):
                (folder / kind / split).mkdir(parents=True)
            count = arguments['num_val' if split == 'val' else 'num_labelled']
            for i in range(count):
                scene = draw_scene(_stream(seed, stream), i, size, gsd)
                name = f'{i:06d}'
                _dump(folder / 'img_dir' / split / f'{name}.png', scene.image)
                _dump(folder / 'ann_dir' / split / f'{name}.png', scene.mask)
                text = folder / 'annfiles' / split / f'{name}.txt'
                text.write_text(dota_text(scene.boxes), encoding='utf-8')
                done += 1
                if progress:
                    progress(done, total)
        (folder / 'unlabelled').mkdir()
        defects = _defects(arguments)
        for i in range(arguments['num_unlabelled']):
            image = draw_scene(_stream(seed, _UNLABELLED), i, size, gsd).image
            path = folder / 'unlabelled' / f'{i:06d}.png'
            if i in defects:
                rng = np.random.default_rng((_stream(seed, _DEFECT), i))
                path.write_bytes(spoil(image, defects[i], rng))
            else:
                _dump(path, image)
            done += 1
            if progress:
                progress(done, total)
    finally:
        cv2.setNumThreads(threads)
    text = json.dumps(arguments, indent=2, sort_keys=True)
    (folder / STAMP).write_text(text + '\n', encoding='utf-8')


def _stream(seed: int, stream: int) -> int:
    """Seed of one of the streams of scenes."""
    return seed * 4 + stream


def _defects(arguments: dict) -> dict[int, str]:
    """Choose which unlabelled images are bad, as {number: defect}."""
    kinds = [k for k, n in sorted(arguments['broken'].items()) for _ in range(n)]
    rng = np.random.default_rng((_stream(arguments['seed'], _DEFECT),))
    where = rng.permutation(arguments['num_unlabelled'])[: len(kinds)]
    return dict(zip(where.tolist(), kinds, strict=True))


def _dump(path: Path, image: np.ndarray) -> None:
    """Write a picture as PNG."""
    path.write_bytes(encode_png(image))
