"""Which windows of an image are crops, and what they are called for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from s5_mm.io.hashing import mix64
from s5_mm.io.images.fill import SMALL_POLICIES, SmallPolicy
from s5_mm.io.images.windows import sliding_windows
from s5_mm.utils.argument_checks import check_choice, check_number

# Increment of splitmix64.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class CropGrid:
    """How crops lie in images.

    Attributes:
        size: Side of a crop in pixels (512 in the paper).
        stride: Pixels between two crops; the last ones are shifted back to the border.
            The paper gives none; ``size`` means no overlap.
        small: What becomes of an image that is smaller than a crop on a side:
            ``'drop'``, or the filling of :func:`.crops.read_crops`.
        min_size: Shortest side of an image that gives crops, in pixels.
        max_crops: Most crops of one image; the smallest identifiers stay, a random
            choice that does not depend on anything else.  None: all.

    Raises:
        ValueError: If a value is not one of the allowed ones.
    """

    size: int = 512
    stride: int = 512
    small: SmallPolicy | Literal['drop'] = 'reflect'
    min_size: int = 1
    max_crops: int | None = None

    def __post_init__(self) -> None:
        if self.size < 1 or not 1 <= self.stride <= self.size:
            raise ValueError(
                f'crop: size={self.size} and stride={self.stride}, expected '
                '1 <= stride <= size in pixels, or pixels stay unseen'
            )
        check_choice('crop: small', self.small, ('drop', *SMALL_POLICIES))
        if self.max_crops is not None:
            check_number('crop: max_crops', self.max_crops, 1)

    @property
    def filling(self) -> SmallPolicy:
        """What fills crops of small images, if there are any."""
        return 'reflect' if self.small == 'drop' else self.small

    def windows(self, width: int, height: int) -> np.ndarray:
        """Lay crops over an image.

        Args:
            width: Columns of the image.
            height: Rows of the image.

        Returns:
            int64, (n, 4): x, y, width, height, sorted by y, then x; none if the image
            is too small.
        """
        short = min(width, height)
        if short < self.min_size or (self.small == 'drop' and short < self.size):
            return np.zeros((0, 4), np.int64)
        boxes = sliding_windows(
            width, height, [self.size], [self.size - self.stride], img_rate_thr=0.0
        )
        corners, ends = boxes[:, :2], np.minimum(boxes[:, 2:], (width, height))
        return np.concatenate([corners, ends - corners], 1)

    def choose(self, windows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Apply ``max_crops``.

        Args:
            windows: (n, 4).
            ids: Their identifiers, uint64 (n,).

        Returns:
            Indices of those that stay, ascending.
        """
        if self.max_crops is None or len(windows) <= self.max_crops:
            return np.arange(len(windows))
        return np.sort(np.argsort(ids, kind='stable')[: self.max_crops])


def crop_ids(collection: str, path: str, windows: np.ndarray) -> np.ndarray:
    """Name the crops of an image.

    The name depends on collection, path and window alone, so it outlives additions to
    a collection and serves as the stable key of a selection.

    Args:
        collection: Name of the collection.
        path: Path of the image, relative to the collection's root.
        windows: int, (n, 4): x, y, width, height.

    Returns:
        uint64, (n,), well mixed in all bits.
    """
    text = f'{collection}\0{path}'.encode('utf-8', 'surrogateescape')
    digest = hashlib.blake2b(text, digest_size=8).digest()
    ids = np.full(len(windows), np.frombuffer(digest, '<u8')[0], np.uint64)
    with np.errstate(over='ignore'):
        for column in np.asarray(windows, np.int64).reshape(-1, 4).T:
            ids = mix64(ids + _GAMMA * (column.astype(np.uint64) + np.uint64(1)))
    return ids
