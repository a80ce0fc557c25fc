"""Find the images and the masks in a folder, in the layouts that people have."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .matching import UNLABELLED_FOLDERS, match

IMAGE_FOLDERS = ('img_dir', 'images', 'image', 'imgs', 'img', 'jpegimages', 'rgb')
MASK_FOLDERS = (
    *('ann_dir', 'masks', 'mask', 'labels', 'label', 'annotations', 'gt'),
    *('ground_truth', 'groundtruth', 'segmentationclass', 'seg'),
)
_SPLITS = {
    **dict.fromkeys(('train', 'training'), 'train'),
    **dict.fromkeys(('val', 'valid', 'validation'), 'val'),
    **dict.fromkeys(('test', 'testing'), 'test'),
}


class FolderPart(NamedTuple):
    """Pairs of images and masks below two folders.

    Attributes:
        images: Folder of the images, relative to the data set's; '' for itself.
        masks: Folder of the masks.
        names: What the names of an image and of its mask have in common, sorted; with
            ``/`` for folders below.
    """

    images: str
    masks: str
    names: tuple[str, ...]


class Folder(NamedTuple):
    """What was found in a folder.

    Attributes:
        root: The folder.
        parts: Pairs by split, ``'train'``, ``'val'`` and ``'test'``, or all of them as
            ``'all'``.
        img_suffix: Endings of the images.
        mask_suffix: Ending of the masks.
        unlabelled: Folder of images without masks; None if there is none.
    """

    root: Path
    parts: dict[str, FolderPart]
    img_suffix: tuple[str, ...]
    mask_suffix: str
    unlabelled: Path | None

    def files(self, part: FolderPart) -> list[tuple[str, str]]:
        """List the paths of images and masks of a part."""
        images, masks = self.root / part.images, self.root / part.masks
        return [
            (
                next(
                    path
                    for path in (str(images / name) + end for end in self.img_suffix)
                    if os.path.isfile(path)
                ),
                str(masks / name) + self.mask_suffix,
            )
            for name in part.names
        ]


def look_at(root: Path, images: str | None = None, masks: str | None = None) -> Folder:
    """Find out how a folder is laid out.

    Args:
        root: The folder.
        images: Folder of the images below it, where its name tells nothing.
        masks: Folder of the masks.

    Returns:
        What was found.

    Raises:
        FileNotFoundError: If there is no such folder, no image, or an image has no mask
            or a mask no image.
        ValueError: If the masks end in several ways.
    """
    if not root.is_dir():
        kind = 'a file' if root.exists() else 'missing'
        raise FileNotFoundError(f'{root}: expected a folder of images, it is {kind}')
    pairs = dict(_folder_pairs(root, images, masks))
    found = {}
    for split, (image_dir, mask_dir) in pairs.items():
        found[split] = match(root, image_dir, mask_dir)
    endings = {(tails, mask) for tails, mask, _ in found.values()}
    mask_suffixes = {mask for _, mask in endings}
    if len(mask_suffixes) > 1:
        raise ValueError(
            f'{root}: masks end in {", ".join(sorted(mask_suffixes))}; expected one '
            'ending in all splits'
        )
    return Folder(
        root,
        {
            split: FolderPart(*pairs[split], tuple(names))
            for split, (_, _, names) in found.items()
        },
        tuple(sorted({end for ends, _ in endings for end in ends})),
        mask_suffixes.pop(),
        _below(root, UNLABELLED_FOLDERS),
    )


def _folder_pairs(
    root: Path, images: str | None, masks: str | None
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each split with the folders of its images and masks, relative."""
    splits = _splits_below(root)
    named = images is not None or masks is not None
    if splits and not named:
        for split, name in splits.items():
            pair = _image_and_mask_folder(root / name)
            if pair is None and split == 'test':
                continue  # images to predict, most likely
            here = pair or ('', '')
            yield split, (os.path.join(name, here[0]), os.path.join(name, here[1]))
        return
    pair = (images or '', masks or '') if named else _image_and_mask_folder(root)
    if pair is None:
        yield 'all', ('', '')
        return
    missing = [name for name in pair if not (root / name).is_dir()]
    if missing:
        raise FileNotFoundError(f'{root / missing[0]}: there is no such folder')
    ours, theirs = (_splits_below(root / name) for name in pair)
    if 'train' not in ours or 'train' not in theirs:
        yield 'all', pair
        return
    for split in ours:
        if split in theirs:
            yield (
                split,
                (
                    os.path.join(pair[0], ours[split]),
                    os.path.join(pair[1], theirs[split]),
                ),
            )


def _splits_below(folder: Path) -> dict[str, str]:
    """Find the folders of splits: split -> name; none without one for training."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    found = {_SPLITS[n.lower()]: n for n in names if n.lower() in _SPLITS}
    order = [split for split in ('train', 'val', 'test') if split in found]
    return {split: found[split] for split in order} if 'train' in found else {}


def _image_and_mask_folder(folder: Path) -> tuple[str, str] | None:
    """Find the folders of images and of masks by their names."""
    images, masks = _below(folder, IMAGE_FOLDERS), _below(folder, MASK_FOLDERS)
    return (images.name, masks.name) if images and masks else None


def _below(folder: Path, names: Sequence[str]) -> Path | None:
    """Find the first folder of some names, in any case."""
    there = {entry.name.lower(): entry for entry in folder.iterdir() if entry.is_dir()}
    return next((there[name] for name in names if name in there), None)
