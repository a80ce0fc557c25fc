"""Batches whose pixels tell which image they are from."""

import torch

from s5_mm.models.pseudo_labels import PseudoLabels
from s5_mm.utils import SampleKey

K, H, W = 5, 6, 8


def keys(count, start=0):
    return [SampleKey(3, 1, start + i) for i in range(count)]


def batch(count=4, seed=0, labelled=3):
    """Strong views, pseudo-labels, labelled images and their labels."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.rand(*shape, generator=generator)

    valid = noise(count, H, W) < 0.8
    pseudo = PseudoLabels(
        labels=torch.randint(0, K, (count, H, W), generator=generator),
        confidence=noise(count, H, W) * 0.9,
        valid=valid,
        weight=noise(count, H, W) * 0.9 * valid,
        probabilities=noise(count, K, H, W),
    )
    # The first image shows two classes, the second one.
    pseudo.labels[0] %= 2
    pseudo.labels[1:2] = 3
    labels = torch.randint(0, K, (labelled, H, W), generator=generator)
    labels[:, 0] = 255
    images = 10 + noise(labelled, 3, H, W)
    return noise(count, 3, H, W), pseudo, images, labels
