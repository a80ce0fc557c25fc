"""The scenes of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from s5_mm.testing import write_dataset

SIZE = 128
"""Side of the scenes in pixels."""
# Defects of the unlabelled images, per thousand.
BROKEN = dict(flat=5, no_data=8, stripes=5, truncated=3, empty=3)


def draw_scenes(folder: Path, scenes: Sequence[int], seed: int) -> bool:
    """Draw the scenes unless they are there, and print how far it is.

    Args:
        folder: Where to write them.
        scenes: Numbers of labelled, unlabelled and validation scenes.
        seed: Seed of the scenes.

    Returns:
        Whether they were drawn now.
    """
    labelled, unlabelled, val = scenes
    marks = iter(range(25, 101, 25))
    mark = next(marks)

    def progress(done: int, total: int) -> None:
        nonlocal mark
        if 100 * done >= mark * total:
            print(f'      {done}/{total} scenes drawn', flush=True)
            mark = next(marks, 101)

    write_dataset(
        folder,
        labelled,
        unlabelled,
        val,
        SIZE,
        seed,
        {kind: n * unlabelled // 1000 for kind, n in BROKEN.items()},
        gsd=(0.22, 0.4),
        progress=progress,
    )
    return mark != 25
