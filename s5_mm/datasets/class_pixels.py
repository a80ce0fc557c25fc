"""Count the pixels of each class in the masks of a data set."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch.utils.data import ConcatDataset

from s5_mm.io.progress import ProgressLine

from .verification import scan


def class_pixels(dataset: Any, jobs: int = 1) -> np.ndarray:
    """Read all masks of a data set once.

    Args:
        dataset: A :class:`s5_mm.SegDataset`, or a ``ConcatDataset`` of such with equal
            classes.
        jobs: Processes.

    Returns:
        Pixels of each class per image, int64, (N, K); ignored pixels are left out.

    Raises:
        ValueError: If the data set has no masks, its parts differ in their classes, or
            a file is bad.
    """
    if isinstance(dataset, ConcatDataset):
        parts: list[Any] = dataset.datasets  # torch's type has no metainfo
        counts = [class_pixels(part, jobs) for part in parts]
        names = {tuple(part.metainfo['classes']) for part in parts}
        if len(names) > 1:
            raise ValueError(
                f'{type(dataset).__name__} of data sets with the classes '
                f'{sorted(names)}; expected the same classes in all parts'
            )
        return np.concatenate(counts)
    first = dataset.get_data_info(0)
    if not hasattr(dataset, 'label_rule') or 'seg_map_path' not in first:
        raise ValueError(
            f'{type(dataset).__name__} of {first.get("img_path")}: no masks to count '
            'classes in; expected a s5_mm.SegDataset with masks'
        )
    num_classes = len(dataset.metainfo['classes'])
    table = np.zeros((len(dataset), num_classes), np.int64)
    progress = ProgressLine('classes in masks', 'images')
    for index, report in enumerate(scan(dataset, 'masks', jobs)):
        for path, reason in report.problems:
            raise ValueError(f'{path}: {reason}')
        if report.histogram is not None:
            table[index] = report.histogram[:num_classes]
        progress(index + 1, len(dataset))
    return table
