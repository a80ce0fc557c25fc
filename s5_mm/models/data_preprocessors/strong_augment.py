"""The strong augmentation A_s of Eq. 4 without CutMix, batched on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from s5_mm.registry import MODELS
from s5_mm.utils import SampleKey, View, sample_generator
from s5_mm.utils.argument_checks import check_number

from .photometric import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    gaussian_blur,
    luma,
)

_JITTER: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    adjust_hue,
)


@MODELS.register_module()
class StrongAugment:
    """Colour jitter, greyscale and blur, each image with its own draws.

    Defaults are the probabilities and ranges of the S5 release.  The order inside
    the jitter is drawn per image, as in torchvision's ``ColorJitter``.

    Args:
        brightness: Factor is uniform in [max(0, 1 - b), 1 + b].
        contrast: Likewise.
        saturation: Likewise.
        hue: Shift is uniform in [-hue, hue], a share of the circle, at most 0.5.
        jitter_prob: Probability of the colour jitter.
        gray_prob: Probability of greyscale.
        blur_prob: Probability of the blur.
        blur_sigma: Range of the standard deviation of the blur in pixels.

    Raises:
        ValueError: If a probability is not in [0, 1] or a range is empty.
    """

    def __init__(
        self,
        brightness: float = 0.5,
        contrast: float = 0.5,
        saturation: float = 0.5,
        hue: float = 0.25,
        jitter_prob: float = 0.8,
        gray_prob: float = 0.2,
        blur_prob: float = 0.5,
        blur_sigma: tuple[float, float] = (0.1, 2.0),
    ) -> None:
        probabilities = dict(
            jitter_prob=jitter_prob, gray_prob=gray_prob, blur_prob=blur_prob
        )
        for name, value in probabilities.items():
            check_number(name, value, 0, 1)
        check_number('brightness', brightness, 0)
        check_number('contrast', contrast, 0)
        check_number('saturation', saturation, 0)
        check_number('hue', hue, 0, 0.5)
        if not 0 < blur_sigma[0] <= blur_sigma[1]:
            raise ValueError(
                f'blur_sigma must be (low, high), 0 < low <= high, got {blur_sigma}'
            )
        self.ranges = np.array(
            [
                (max(0.0, 1 - brightness), 1 + brightness),
                (max(0.0, 1 - contrast), 1 + contrast),
                (max(0.0, 1 - saturation), 1 + saturation),
                (-hue, hue),
            ]
        )
        self.jitter_prob = jitter_prob
        self.gray_prob = gray_prob
        self.blur_prob = blur_prob
        self.blur_sigma = blur_sigma

    def draw(self, keys: Sequence[SampleKey]) -> dict[str, np.ndarray]:
        """Draw the parameters of each sample from its own generator.

        Args:
            keys: Identity of each of the N samples.

        Returns:
            ``order`` (N, 4) int, position by position the jitter operation, -1 for
            none; ``factor`` (N, 4) float, by operation; ``gray`` (N,) bool;
            ``sigma`` (N,) float, 0 for no blur.
        """
        count = len(keys)
        order = np.full((count, 4), -1, dtype=np.int64)
        factor = np.ones((count, 4), dtype=np.float32)
        gray = np.zeros(count, dtype=bool)
        sigma = np.zeros(count, dtype=np.float32)
        for i, key in enumerate(keys):
            rng = sample_generator(key, View.STRONG)
            # Always the same number of draws, so that changing one probability
            # does not change what the others drew.
            jitter, grey, blur = rng.random(3)
            factor[i] = rng.uniform(self.ranges[:, 0], self.ranges[:, 1])
            permutation = rng.permutation(4)
            radius = rng.uniform(*self.blur_sigma)
            if jitter < self.jitter_prob:
                order[i] = permutation
            gray[i] = grey < self.gray_prob
            sigma[i] = radius if blur < self.blur_prob else 0.0
        return dict(order=order, factor=factor, gray=gray, sigma=sigma)

    def __call__(self, images: Tensor, keys: Sequence[SampleKey]) -> Tensor:
        """Augment a batch.

        Args:
            images: RGB in [0, 1], float, (N, 3, H, W); not modified.
            keys: Identity of each of the N samples.

        Returns:
            Augmented images, (N, 3, H, W), in [0, 1].
        """
        drawn = self.draw(keys)
        images = images.clone()
        factor = torch.from_numpy(drawn['factor']).to(images.device, images.dtype)
        for position in range(4):
            for operation, adjust in enumerate(_JITTER):
                chosen = _indices(drawn['order'][:, position] == operation, images)
                if chosen is not None:
                    images[chosen] = adjust(images[chosen], factor[chosen, operation])
        chosen = _indices(drawn['gray'], images)
        if chosen is not None:
            images[chosen] = luma(images[chosen]).expand(-1, 3, -1, -1)
        chosen = _indices(drawn['sigma'] > 0, images)
        if chosen is not None:
            sigma = torch.from_numpy(drawn['sigma']).to(images.device)[chosen]
            images[chosen] = gaussian_blur(images[chosen], sigma, self.blur_sigma[1])
        return images


def _indices(chosen: np.ndarray, like: Tensor) -> Tensor | None:
    """Indices of the chosen samples on the device of ``like``, None if none.

    They come from the host: a boolean mask on the device would have to be read
    back before it can index.
    """
    found = np.flatnonzero(chosen)
    return torch.from_numpy(found).to(like.device) if found.size else None
