"""CutMix between unlabelled images as rectangles (Eq. 4; Yun et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from s5_mm.registry import MODELS
from s5_mm.utils import SampleKey, View, sample_generator
from s5_mm.utils.argument_checks import check_number


class MixPlan(NamedTuple):
    """What was pasted where, for images and pseudo-labels alike.

    Attributes:
        region: Where the partner is pasted, bool, (N, H, W).
        partner: Row of each image's partner among the weak views, long, (N,).
        valid: Pixels of the weak views that are no padding, bool, (M, H, W) with
            M = N when partners come from the batch, M = 2 N when they are rows of
            their own.
    """

    region: Tensor
    partner: Tensor
    valid: Tensor

    def mix(self, own: Tensor, views: Tensor) -> Tensor:
        """Paste the partner's region: ``own (1 - M) + views[partner] M``.

        Args:
            own: What belongs to the N images, (N, H, W) or (N, C, H, W).
            views: What belongs to the M weak views, same layout.

        Returns:
            The mixture, shape of ``own``.
        """
        region = self.region if own.dim() == 3 else self.region.unsqueeze(1)
        return torch.where(region, views.index_select(0, self.partner), own)


@MODELS.register_module()
class CutMix:
    """Draws the rectangles and the partners.

    Defaults are those of the S5 release.  Its partner is a second random view of
    the same image, because its two loaders share one seed; the paper means another
    image.  Here a partner is the neighbour in the batch (pairs 2k, 2k+1), which does
    not depend on how many processes share a batch as long as each one's share is
    even; a source of its own (``MultiBranchDataPreprocessor(mix_source=...)``)
    gives the release's behaviour.

    Args:
        prob: Probability that an image gets a rectangle.
        area: Range of the rectangle's share of the image.
        ratio: Range of height over width, drawn uniformly as in the release.

    Raises:
        ValueError: If a range is empty or out of bounds.
    """

    def __init__(
        self,
        prob: float = 0.5,
        area: tuple[float, float] = (0.02, 0.4),
        ratio: tuple[float, float] = (0.3, 1 / 0.3),
    ) -> None:
        check_number('prob', prob, 0, 1)
        if not 0 < area[0] <= area[1] < 1:
            raise ValueError(
                f'area must be (low, high), 0 < low <= high < 1, got {area}'
            )
        if not 0 < ratio[0] <= 1 <= ratio[1]:
            raise ValueError(
                f'ratio must be (low, high), 0 < low <= 1 <= high, got {ratio}'
            )
        self.prob = prob
        self.area = area
        self.ratio = ratio

    def draw(self, keys: Sequence[SampleKey], height: int, width: int) -> np.ndarray:
        """Draw one rectangle for each sample from its own generator.

        Args:
            keys: Identity of each of the N samples.
            height: Height of the images in pixels.
            width: Width of the images in pixels.

        Returns:
            Half-open rectangles (x0, y0, x1, y1), int64, (N, 4); empty where the
            image is left as it is.
        """
        boxes = np.zeros((len(keys), 4), dtype=np.int64)
        for i, key in enumerate(keys):
            rng = sample_generator(key, View.CUTMIX)
            if rng.random() >= self.prob:
                continue
            pixels = rng.uniform(*self.area) * height * width
            while True:
                ratio = rng.uniform(*self.ratio)
                w, h = int(sqrt(pixels / ratio)), int(sqrt(pixels * ratio))
                x, y = int(rng.integers(width)), int(rng.integers(height))
                if x + w <= width and y + h <= height:
                    break
            boxes[i] = x, y, x + w, y + h
        return boxes

    @staticmethod
    def partners(count: int) -> np.ndarray:
        """Give every image of a batch another one.

        Args:
            count: Number of images.

        Returns:
            A permutation, int64, (count,): neighbours swapped; with an odd count the
            last three turn in a ring; a single image is its own partner.
        """
        partner = np.arange(count) ^ 1
        if count % 2:
            tail = np.arange(max(count - 3, 0), count)
            partner[tail] = np.roll(tail, -1)
        return partner


def rectangles_to_mask(boxes: Tensor, height: int, width: int) -> Tensor:
    """Rasterise one half-open rectangle for each image.

    Args:
        boxes: (x0, y0, x1, y1) in pixels, integer, (N, 4).
        height: Height of the masks.
        width: Width of the masks.

    Returns:
        True inside, bool, (N, height, width), on the device of ``boxes``.
    """
    x0, y0, x1, y1 = (edge.unsqueeze(1) for edge in boxes.unbind(1))
    columns = torch.arange(width, device=boxes.device)
    rows = torch.arange(height, device=boxes.device)
    inside_x = (columns >= x0) & (columns < x1)
    inside_y = (rows >= y0) & (rows < y1)
    return inside_y.unsqueeze(2) & inside_x.unsqueeze(1)
