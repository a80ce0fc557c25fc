"""What torch says in the first training step, in terms of the config."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def explain_step_errors(
    owner: str, shape: Sequence[int], num_classes: int
) -> Iterator[None]:
    """Name the settings behind torch's errors of batch normalisation and labels.

    Args:
        owner: Whose step it is, for messages.
        shape: (N, C, H, W) of the labelled images of this process.
        num_classes: Of the head.

    Raises:
        ValueError: Batch normalisation got one value per channel, or a label is beyond
            the classes of the head (seen on a CPU; a GPU stops at the label itself).
    """
    try:
        yield
    except (ValueError, IndexError) as error:
        text = str(error)
        count, _, height, width = shape
        if 'more than 1 value per channel' in text:
            raise ValueError(
                f'{owner}: batch normalisation got one value per channel from {count} '
                f'image(s) of {height}x{width} px, pooled to 1x1 px by the head; give '
                'each process at least 2 (train_dataloader.batch_size and '
                'sampler.shares), or train on several processes with s5_mm.SyncBN'
            ) from error
        if label := re.search(r'Target (-?\d+) is out of bounds', text):
            raise ValueError(
                f'{owner}: a label is {label[1]}, the decode head has num_classes='
                f'{num_classes}, so labels 0 to {num_classes - 1} and 255 are allowed; '
                "set the head's num_classes and the data set's classes to what the "
                'masks hold'
            ) from error
        raise
