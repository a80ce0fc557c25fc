"""Choose the size of a first run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal, NamedTuple

from s5_mm.checkpoints import load_address

Arch = Literal['t', 'b', 'l']

# Side of the crops in pixels at most: configs/s4p/vit-t_dubai.py and the release.
_MAX_CROP = {'t': 128, 'b': 512, 'l': 512}
_MIN_CROP = 32
# A pyramid of four levels on patches of 8 px, and patches of 16 px, both divide it.
_MULTIPLE = 16
# With unlabelled images: configs/s4p/vit-t_dubai.py.
_SEMI_ITERS = 600
LABELLED_ITERS = 400  # configs/_base_/schedules/own_images.py
BATCH = 8  # configs/_base_/datasets/own_images.py
# Of the larger models: 100 passes over the images, as the release's fine-tuning.
_EPOCHS, _FEWEST = 100, 1000


class Run(NamedTuple):
    """Choices of a first run.

    Attributes:
        name: Of the run, and of its files.
        arch: Size of the ViT.
        crop: Side of the crops in pixels.
        iters: Iterations.
        weights: Checkpoint that the ViT starts from; None for a random start.
    """

    name: str
    arch: Arch
    crop: int
    iters: int
    weights: str | None


def plan_run(
    name: str,
    arch: Arch,
    sizes: Sequence[tuple[int, int]],
    semi: bool,
    iters: int | None = None,
    weights: str | None = None,
) -> Run:
    """Choose crop size and number of iterations.

    Args:
        name: Of the run.
        arch: Size of the ViT.
        sizes: (width, height) of the training images in pixels.
        semi: Whether there are unlabelled images.
        iters: Iterations, if they are given.
        weights: Checkpoint that the ViT starts from.

    Returns:
        The choices.

    Raises:
        ValueError: If ``iters`` is below 100, where the warm-up of 50 ends too late.
        FileNotFoundError: If there is no such checkpoint.
        DamagedCheckpointError: If it is none.
    """
    if iters is not None and iters < 100:
        raise ValueError(f'--iters {iters}; expected 100 or more, 50 are the warm-up')
    if weights is not None and '://' not in weights and not os.path.isfile(weights):
        raise FileNotFoundError(f'--weights: there is no file {weights}')
    if weights is not None and '://' not in weights:
        load_address(weights)  # whether it is one, before anybody waits for training
    short = sorted(min(size) for size in sizes)[len(sizes) // 2]
    crop = max(_MIN_CROP, min(_MAX_CROP[arch], short // _MULTIPLE * _MULTIPLE))
    if iters is None and arch == 't':
        iters = _SEMI_ITERS if semi else LABELLED_ITERS
    elif iters is None:
        iters = max(_FEWEST, _EPOCHS * len(sizes) // BATCH)
    return Run(name, arch, crop, iters, weights)
