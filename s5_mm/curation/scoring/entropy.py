"""Mean pixel entropy of a prediction (Eq. 1), and what is known of it beside that.

The terms of all classes are sums over exp(z_k), which one pass over a band of rows
gives; probabilities at full resolution never exist.  The foreground has sums of its
own, relative to its own largest logit, so that nothing cancels or vanishes however
sure a pixel is of the background.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from s5_mm.utils.argument_checks import check_choice, check_number

BACKGROUND_MODES = ('drop', 'renormalise', 'keep')
# Values of a band in fp32.  1 MB stays in the cache of a CPU (32 ms an image of 512 px
# with 16 classes; 59 ms at 64 MB, measured); a GPU wants few launches.
_CPU_BAND, _BAND = 2**18, 2**24


class PixelScores(NamedTuple):
    """Figures of B images, all float32.

    Attributes:
        entropy: E(x) of Eq. 1 in nats, (B,).
        foreground: Share of the pixels whose class is not the background, (B,); 1 where
            there is no background.
        confidence: Mean over the pixels of the largest probability, (B,).
        class_areas: Share of the pixels of each class, (B, K).
    """

    entropy: Tensor
    foreground: Tensor
    confidence: Tensor
    class_areas: Tensor


def check_background(num_classes: int, background: int | None, mode: str) -> None:
    """Refuse a treatment of the background that does not exist.

    Args:
        num_classes: K.
        background: See :func:`pixel_scores`.
        mode: See :func:`pixel_scores`.

    Raises:
        ValueError: If the mode is unknown, the background is no class, or what is left
            without it has no entropy.
    """
    check_choice('mode', mode, BACKGROUND_MODES)
    if num_classes < 2:
        raise ValueError(
            f'the head has num_classes={num_classes}; Eq. 1 is of a softmax over at '
            'least 2 classes'
        )
    if background is None:
        return
    why = ', the id of a class, or None'
    check_number('background', background, 0, num_classes - 1, why=why)
    if mode == 'renormalise' and num_classes == 2:
        raise ValueError(
            "mode='renormalise' needs two classes beside the background, the head has "
            'num_classes=2: the entropy would be 0 everywhere'
        )


@torch.no_grad()
def pixel_scores(
    logits: Tensor,
    size: tuple[int, int],
    align_corners: bool = False,
    background: int | None = 0,
    mode: str = 'drop',
    band: int | None = None,
) -> PixelScores:
    """Judge predictions at the size of their images.

    The paper leaves open how the background is excluded from Eq. 1:

    * ``'drop'``: its term is left out of the sum over k, probabilities stay what they
      are (the words of the paper).  A pixel that is surely background adds 0.
    * ``'renormalise'``: the softmax is taken over the other classes alone.  What
      is background counts by how undecided it would be without it.
    * ``'keep'``: it is a class like others.

    Args:
        logits: z, (B, K, h, w), any floating type; worked on in fp32 (fp64 stays).
        size: (H, W) of the images in pixels.
        align_corners: Of the bilinear upsampling: the decode head's.
        background: Id of the background; None if no class is one, then all modes are
            the same.
        mode: One of :data:`BACKGROUND_MODES`.
        band: Most values of upsampled logits at a time; None chooses by the device.

    Returns:
        The scores; equal classes go to the lower id.

    Raises:
        ValueError: As :func:`check_background`, or if the logits have another shape.
    """
    if logits.dim() != 4:
        raise ValueError(
            f'logits of shape {tuple(logits.shape)}, expected (B, K, h, w)'
        )
    count, num_classes = logits.shape[:2]
    check_background(num_classes, background, mode)
    height, width = size
    if logits.dtype != torch.float64:
        logits = logits.float()
    entropy = logits.new_zeros(count, dtype=torch.float64)
    confidence = torch.zeros_like(entropy)
    pixels = torch.zeros(count, num_classes, dtype=torch.int64, device=logits.device)
    one = pixels.new_ones(1)
    taps = _row_taps(logits, height, align_corners)
    if band is None:
        band = _CPU_BAND if logits.device.type == 'cpu' else _BAND
    step = max(band // (count * num_classes * width), 1)
    for start in range(0, height, step):
        upper, lower, weight = (tap[start : start + step] for tap in taps)
        rows = torch.lerp(logits[:, :, upper], logits[:, :, lower], weight[:, None])
        # The height stays what it is, so only columns are interpolated here.
        rows = F.interpolate(
            rows, (len(upper), width), mode='bilinear', align_corners=align_corners
        )
        terms, largest, classes = _of_pixels(rows.flatten(2), background, mode)
        entropy += terms.sum(1, dtype=torch.float64)
        confidence += largest.sum(1, dtype=torch.float64)
        pixels.scatter_add_(1, classes, one.expand_as(classes))
    total = height * width
    areas = pixels.double() / total
    foreground = torch.ones_like(entropy)
    if background is not None:
        foreground = 1 - areas[:, background]
    means = (entropy / total, foreground, confidence / total, areas)
    return PixelScores(*(mean.float() for mean in means))


def _row_taps(
    logits: Tensor, height: int, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Say which two rows make each row of the upsampled logits, as torch does.

    Returns:
        Upper and lower row, int64, and the weight of the lower one, each (H,).
    """
    given = logits.shape[2]
    rows = torch.arange(height, device=logits.device, dtype=torch.float64)
    if align_corners:
        centre = rows * ((given - 1) / max(height - 1, 1))
    else:
        centre = ((rows + 0.5) * (given / height) - 0.5).clamp(min=0)
    upper = centre.long().clamp(max=given - 1)
    lower = (upper + 1).clamp(max=given - 1)
    return upper, lower, (centre - upper).to(logits.dtype)


def _of_pixels(
    z: Tensor, background: int | None, mode: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Entropy, largest probability and class of each pixel.

    Args:
        z: Logits, (B, K, n).
        background: As of :func:`pixel_scores`.
        mode: As of :func:`pixel_scores`.

    Returns:
        Entropy and probability, (B, n), and class, int64, (B, n).
    """
    numbers = list(range(z.shape[1]))
    z_b = None
    if background is not None:
        z_b = z[:, background]
        numbers.remove(background)
        z = torch.cat([z[:, :background], z[:, background + 1 :]], 1)
    top = z.amax(1)
    # Not max(1): it takes 250 times as long as amax on a CPU (torch 2.15, measured).
    ids = torch.tensor(numbers, dtype=torch.uint8, device=z.device)[:, None]
    classes = torch.where(z == top[:, None], ids, 255).amin(1)
    shifted = z - top[:, None]
    powers = shifted.exp()
    total = powers.sum(1)  # of exp(z_k - top), at least 1
    moment = powers.mul_(shifted).sum(1)  # of (z_k - top) exp(z_k - top)
    if z_b is None or background is None:
        return total.log() - moment / total, 1 / total, classes.long()

    first = torch.maximum(top, z_b)
    others, own = (top - first).exp(), (z_b - first).exp()
    partition = others * total + own  # of all exp(z_k - first)
    if mode == 'renormalise':
        entropy = total.log() - moment / total
    else:
        log = partition.log()
        # Sum of p_k (log S - z_k) over the foreground; p_b log p_b is apart.
        entropy = others / partition * (total * (log - (top - first)) - moment)
        if mode == 'keep':
            entropy = entropy + own / partition * (log - (z_b - first))
    wins = (z_b > top) | ((z_b == top) & (background < classes))
    return entropy, 1 / partition, torch.where(wins, background, classes.long())
