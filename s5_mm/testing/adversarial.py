"""A pool of images a part of which is bad, and which: the exam of a quality gate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from s5_mm.utils.argument_checks import check_number

from .defects import DEFECTS
from .writer import planted_defects, write_dataset


class AdversarialPool(NamedTuple):
    """Images to select from, and the truth about them.

    Attributes:
        folder: Folder with the images alone.
        defects: File names and defects, '' for the good ones, in the order of the
            names.
    """

    folder: Path
    defects: dict[str, str]


def adversarial_pool(
    root: str | Path,
    num_scenes: int,
    size: int = 512,
    share: float = 0.2,
    kinds: Sequence[str] = DEFECTS,
    seed: int = 0,
) -> AdversarialPool:
    """Write scenes of which a share is without data, flat or broken.

    Args:
        root: Folder to write, see :func:`write_dataset`; the same arguments give the
            same bytes.
        num_scenes: Number of images, the bad ones included.
        size: Side of the images in pixels.
        share: Share of bad images, rounded to whole images, in [0, 1].
        kinds: Defects, each as often as the others, or once more if named earlier.
        seed: Seed of the scenes and of the defects.

    Returns:
        The pool.

    Raises:
        ValueError: If the share is out of range or a kind unknown.
        FileExistsError: If ``root`` exists and is no such pool.
    """
    check_number('share', share, 0, 1)
    if not kinds:
        raise ValueError(f'kinds: none found, allowed are {DEFECTS}')
    each, more = divmod(round(num_scenes * share), len(kinds))
    broken = {kind: each + (i < more) for i, kind in enumerate(kinds)}
    root = write_dataset(root, 0, num_scenes, 0, size, seed, broken)
    return AdversarialPool(root / 'unlabelled', planted_defects(root))
