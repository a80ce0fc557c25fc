"""Histograms of a pixel's uncertainty, and quantiles from them.

Quantiles of all pixels of all processes would need every pixel in one place, sorted;
histograms need one sum.  Trained models are sure of nearly every pixel: the quantiles
of the confidence are .99 or .99999, which bins of equal width cannot tell apart.  Bins
are therefore equal in ratio: 64 in every octave of the uncertainty u from 2^-24, the
resolution of 1 - c in float32, to 1, so that u is known to 1.6 %.  What is below goes
into the first bin.
"""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from .pixel_sums import class_sums

OCTAVES, PER_OCTAVE = 24, 64
BINS = OCTAVES * PER_OCTAVE


def bin_index(uncertainty: Tensor) -> Tensor:
    """Return the bin of each pixel.

    Args:
        uncertainty: u, in [0, 1], any shape: 1 - confidence, or the entropy divided by
            its maximum.

    Returns:
        Bin, long, in [0, 1535]: the lower edge belongs to it, the upper one to the
        next.
    """
    # u = mantissa * 2^exponent with a mantissa in [1/2, 1): exact, unlike a logarithm.
    mantissa, exponent = torch.frexp(uncertainty.clamp(min=2.0**-OCTAVES))
    octave = exponent.long() + OCTAVES - 1
    within = ((2 * mantissa - 1) * PER_OCTAVE).long()
    return (octave * PER_OCTAVE + within).clamp(0, BINS - 1)


def upper_edges(bins: Tensor) -> Tensor:
    """Return the upper edges of bins.

    Args:
        bins: Long, in [0, 1535], any shape.

    Returns:
        In (2^-24, 1], float64, shape of ``bins``.
    """
    octave = bins // PER_OCTAVE
    mantissa = (1 + (bins % PER_OCTAVE + 1).double() / PER_OCTAVE) / 2
    return torch.ldexp(mantissa, octave - OCTAVES + 1)


def class_histograms(
    classes: Tensor, uncertainty: Tensor, counted: Tensor, num_classes: int
) -> Tensor:
    """Count the pixels of all processes by class and bin.

    Args:
        classes: Class ids, long, (M, H, W).
        uncertainty: u, in [0, 1], (M, H, W).
        counted: Pixels that count, bool, (M, H, W).
        num_classes: K.

    Returns:
        int64, (K, 1536).
    """
    cells = classes * BINS + bin_index(uncertainty)
    counts = class_sums(cells, counted, num_classes * BINS)
    all_reduce(counts)
    return counts.view(num_classes, BINS)


def quantile(histograms: Tensor, share: float | Tensor) -> Tensor:
    """Return the smallest edge under which there is at least a share of the pixels.

    Args:
        histograms: Counts, int64, (..., 1536).
        share: In [0, 1].

    Returns:
        Upper edge of a bin, float64, (...); the first edge where there are no pixels.
    """
    cumulated = histograms.cumsum(dim=-1)
    missing = cumulated < share * cumulated[..., -1:].double()
    return upper_edges(missing.sum(dim=-1).clamp(max=BINS - 1))
