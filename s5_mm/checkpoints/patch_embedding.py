"""Patch embeddings for patches of another size, or images of other bands."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resample_patches(weight: Tensor, size: int) -> Tensor:
    """Fit a patch embedding to patches of another size (FlexiViT's PI-resize).

    The tokens of an enlarged patch are those of the original one: with B the bilinear
    enlargement of a patch, the new weight w' solves ``w'^T B x = w^T x`` for all x.
    For smaller patches it is the least-squares solution.  Interpolating the weight
    itself would change the tokens' length by the ratio of the areas.

    Args:
        weight: (C, bands, p, p).
        size: New side of a patch in pixels.

    Returns:
        (C, bands, size, size) in the dtype of ``weight``.
    """
    old = weight.shape[-1]
    if old == size:
        return weight
    impulses = torch.eye(old * old, dtype=torch.float64).view(-1, 1, old, old)
    enlarged = F.interpolate(impulses, (size, size), mode='bilinear')
    # Rows: pixels of the new patch; columns: those of the old one.
    enlarge = enlarged.flatten(1).t()
    solution = torch.linalg.pinv(enlarge.t())
    new = weight.double().flatten(2) @ solution.t()
    return new.unflatten(2, (size, size)).to(weight.dtype)


def repeat_bands(weight: Tensor, bands: int) -> Tensor:
    """Fit a patch embedding to images with more or fewer bands.

    Bands are repeated in turn and weighted so that an image whose bands are all equal
    gives the same tokens as before.

    Args:
        weight: (C, b, p, p).
        bands: Bands of the images, at least 1.

    Returns:
        (C, bands, p, p).
    """
    own = weight.shape[1]
    if own == bands:
        return weight
    repeated = weight[:, torch.arange(bands) % own]
    total, new = weight.sum(1, keepdim=True), repeated.sum(1, keepdim=True)
    # The same for each of b bands where b divides the number; else what is missing is
    # spread evenly.
    return repeated * (own / bands) + (total - new * (own / bands)) / bands
