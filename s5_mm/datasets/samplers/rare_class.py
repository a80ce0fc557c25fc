"""Rare-class sampling of labelled images (DAFormer; Hoyer et al. 2022, Eq. 5-6)."""

from __future__ import annotations

from typing import Any

import numpy as np

from s5_mm.registry import DATA_SAMPLERS
from s5_mm.utils.argument_checks import check_number
from s5_mm.utils.randomness import SampleKey, View, sample_generator

from ..class_pixels import class_pixels


@DATA_SAMPLERS.register_module()
class RareClassSampling:
    r"""Draw a class, rare ones more often, then an image that shows it.

    With :math:`f_c` the share of class c in the labelled pixels of the data set,

    .. math:: P(c) \propto \exp((1 - f_c) / T),

    over the classes that have a pixel; the image is uniform among those with at least
    ``min_pixels`` of the class, or with any where none has so many.
    :class:`s5_mm.RandomGeometry` then draws its crop up to ten times until the class
    keeps ``crop_share * min_pixels`` pixels.

    Each draw is a function of the key of the sample.  The masks are read once, when
    training starts, by each process.

    Args:
        temperature: T; DAFormer's 0.01 hardly draws any but the rarest class where
            shares differ by more than 0.05, large values draw all classes alike.
        min_pixels: Pixels of the class that make an image one of its own.  DAFormer's
            3000 is 1.1 % of its crop of 512 px; take 100 for crops of 96 px.
        crop_share: Share of ``min_pixels`` that the crop keeps.
        jobs: Processes that read masks.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        temperature: float = 0.01,
        min_pixels: int = 3000,
        crop_share: float = 0.5,
        jobs: int = 1,
    ) -> None:
        check_number('RareClassSampling: temperature', temperature, above=0)
        check_number('RareClassSampling: min_pixels', min_pixels, 1)
        check_number('RareClassSampling: crop_share', crop_share, 0, 1)
        check_number('RareClassSampling: jobs', jobs, 1)
        self.temperature, self.min_pixels = temperature, min_pixels
        self.crop_pixels, self.jobs = int(crop_share * min_pixels), jobs
        self.probabilities = np.empty(0)
        self._images: list[np.ndarray] = []

    def open(self, dataset: Any) -> None:
        """Read the masks of the data set.

        Args:
            dataset: See :func:`s5_mm.datasets.class_pixels.class_pixels`.

        Raises:
            ValueError: If it has no masks, a bad file, or no labelled pixel.
        """
        pixels = class_pixels(dataset, self.jobs)
        totals = pixels.sum(0)
        if not totals.any():
            raise ValueError(
                f'RareClassSampling: the masks of {len(pixels)} image(s) have no pixel '
                'of any class'
            )
        logits = -totals / totals.sum() / self.temperature
        weights = np.exp(logits - logits[totals > 0].max()) * (totals > 0)
        self.probabilities = weights / weights.sum()
        enough = (pixels >= self.min_pixels).any(0)
        there = pixels >= np.where(enough, self.min_pixels, 1)
        self._images = [np.flatnonzero(column) for column in there.T]

    def draw(self, key: SampleKey) -> tuple[int, int]:
        """Draw the image of a sample.

        Args:
            key: Identity of the sample.

        Returns:
            Index of the image and the class that was drawn.
        """
        generator = sample_generator(key, View.CLASS)
        # A sum that rounding left below 1 must not lead past the last class.
        sums = self.probabilities.cumsum()
        label = int(np.searchsorted(sums, generator.random() * sums[-1], side='right'))
        images = self._images[label]
        return int(images[generator.integers(len(images))]), label
