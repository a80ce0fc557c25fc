"""Pair images and masks by their names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from s5_mm.io.path_table import IMAGE_SUFFIXES

UNLABELLED_FOLDERS = ('unlabelled', 'unlabeled')
CONVERTED = 'masks_ids'
"""Folder of masks that were converted from colours, in the data set's folder."""
# What names of an image and of its mask end in, before the suffix.
_IMAGE_TAILS = ('', '_image', '_img', '_sat', '_rgb', '_RGB')
_MASK_TAILS = (
    *('', '_mask', '_masks', '_label', '_labels', '_gt', '_seg', '-mask'),
    *('_lab', '_ann', '_instance_color_RGB'),
)
_EXPECTED = (
    'images/ and masks/, img_dir/ and ann_dir/, either with train/ and val/ in them or '
    'not, or a.jpg next to a.png'
)


def match(
    root: Path, image_dir: str, mask_dir: str
) -> tuple[tuple[str, ...], str, list[str]]:
    """Pair the files of two folders, which may be one.

    Args:
        root: Folder of the data set.
        image_dir: Folder of the images, relative to it.
        mask_dir: Folder of the masks.

    Returns:
        Endings of the images, ending of the masks, names without them, sorted.

    Raises:
        FileNotFoundError: If there is no image, or an image has no mask or a mask no
            image.
    """
    images, masks = _files(root / image_dir), _files(root / mask_dir)
    where = root / image_dir
    if not images:
        shown = ', '.join(sorted(entry.name for entry in root.iterdir())[:8])
        raise FileNotFoundError(
            f'{where}: no image ({", ".join(IMAGE_SUFFIXES)}) in it'
            + (f', it holds {shown}' if shown and not image_dir else '')
            + f'; expected {_EXPECTED}; --images and --masks name other folders'
        )
    shared = image_dir == mask_dir
    best: tuple[int, tuple[str, ...], str, dict[str, str]] = (0, (), '', {})
    for mask_end in _endings(masks, _MASK_TAILS):
        labels = {name[: -len(mask_end)] for name in masks if name.endswith(mask_end)}
        for ends in _image_endings(images, mask_end if shared else None):
            stems = {
                name[: -len(end)]: end
                for name in images
                for end in ends
                if name.endswith(end) and not (shared and name.endswith(mask_end))
            }
            both = len(labels & stems.keys())
            if both > best[0]:
                best = both, ends, mask_end, stems
    count, ends, mask_end, stems = best
    if not count:
        there = '' if shared else f' in {root / mask_dir}'
        raise FileNotFoundError(
            f'{where}: {len(images)} image(s), {images[0]} the first, but no mask of '
            f'the same name{there}; expected {_EXPECTED}; --images and --masks name '
            'other folders'
        )
    labels = {name[: -len(mask_end)] for name in masks if name.endswith(mask_end)}
    known = (*ends, mask_end) if shared else ends
    stray = [name for name in images if not name.endswith(known)]
    lonely = [name for name in stems if name not in labels]
    lonely = sorted(stray) + sorted(name + stems[name] for name in lonely)
    if lonely:
        bare = os.path.splitext(lonely[0])[0]
        own = {bare + tail for tail in _MASK_TAILS}
        other = next((name for name in masks if os.path.splitext(name)[0] in own), None)
        if other is not None and not shared:
            raise FileNotFoundError(
                f'{root / mask_dir}: {other} ends otherwise than *{mask_end}, as '
                f'{count} other masks do; expected one ending for all masks, capitals '
                'count'
            )
        raise FileNotFoundError(
            f'{where}: {len(lonely)} of {len(images)} images have no mask '
            f'*{mask_end}, {lonely[0]} the first; move them into '
            f'{root / UNLABELLED_FOLDERS[0]}/, where they help without labels'
        )
    extra = sorted(labels - stems.keys())
    if extra:
        raise FileNotFoundError(
            f'{root / mask_dir}: {len(extra)} mask(s) have no image, '
            f'{extra[0]}{mask_end} the first; expected one image a mask'
        )
    used = tuple(sorted(set(stems.values())))
    return used, mask_end, sorted(stems)


def _files(folder: Path) -> list[str]:
    """List the image files of a folder and below, relative, sorted."""
    found = []
    skip = (*UNLABELLED_FOLDERS, '__macosx', CONVERTED)
    for path, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [n for n in folders if n[0] != '.' and n.lower() not in skip]
        below = os.path.relpath(path, folder)
        prefix = '' if below == '.' else f'{below}{os.sep}'
        found += [
            prefix + name
            for name in files
            if name[0] != '.' and name.lower().endswith(IMAGE_SUFFIXES)
        ]
    return sorted(found)


def _endings(names: Sequence[str], tails: Sequence[str]) -> list[str]:
    """List the endings that names have: a tail and the suffix, short tails first."""
    suffixes = sorted({os.path.splitext(name)[1] for name in names})
    # Next to each other, the JPEG is the image.
    suffixes.sort(key=lambda suffix: suffix.lower() in ('.jpg', '.jpeg'))
    return [
        tail + suffix
        for tail in tails
        for suffix in suffixes
        if not tail or any(name.endswith(tail + suffix) for name in names)
    ]


def _image_endings(
    names: Sequence[str], mask_end: str | None
) -> Iterator[tuple[str, ...]]:
    """Yield sets of endings that the images may have."""
    suffixes = sorted({os.path.splitext(name)[1] for name in names})
    for tail in _IMAGE_TAILS:
        ends = tuple(tail + suffix for suffix in suffixes)
        yield tuple(end for end in ends if end != mask_end)
