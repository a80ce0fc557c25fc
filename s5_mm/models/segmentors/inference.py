"""How an image is shown to a segmentor: whole, resized, mirrored, in windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import torch
from mmseg.models.utils import resize
from torch import Tensor

from s5_mm.utils.argument_checks import check_choice, check_number

Predict = Callable[[Tensor, list[dict]], Tensor]

_FLIPS = {'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1)}
_KEYS = {
    'mode',
    'crop_size',
    'stride',
    'windows',
    'window_batch',
    'average',
    'flip',
    'resize',
    'threshold',  # mmseg's own, of one-channel heads
}


def check_test_cfg(test_cfg: Mapping[str, Any], owner: str) -> None:
    """Refuse a test protocol that cannot be run.

    Args:
        test_cfg: See :func:`infer`.
        owner: What it was given to, for the message.

    Raises:
        ValueError: Unknown key, mode, flip or average, a window without size or with
            gaps to the next, or batches of none.
    """
    unknown = sorted(set(test_cfg) - _KEYS)
    if unknown:
        raise ValueError(
            f'{owner}: test_cfg has unknown keys {unknown}; allowed are {sorted(_KEYS)}'
        )
    mode = test_cfg.get('mode', 'whole')
    check_choice(f'{owner}: test_cfg.mode', mode, ('whole', 'slide'))
    if mode == 'slide' and not (test_cfg.get('crop_size') and test_cfg.get('stride')):
        raise ValueError(
            f"{owner}: test_cfg.mode='slide' needs crop_size=(H, W) and stride=(H, W)"
        )
    if mode == 'slide':
        crop, stride = test_cfg['crop_size'], test_cfg['stride']
        if any(not 1 <= s <= c for s, c in zip(stride, crop, strict=True)):
            raise ValueError(
                f'{owner}: test_cfg.stride={tuple(stride)} must be in 1..crop_size, '
                f'which is {tuple(crop)}, or pixels stay unseen'
            )
    together = test_cfg.get('window_batch', 1)
    check_number(f'{owner}: test_cfg.window_batch', together, 1, whole=True)
    wrong = [flip for flip in test_cfg.get('flip', ()) if flip not in _FLIPS]
    if wrong:
        raise ValueError(
            f'{owner}: test_cfg.flip has {wrong}; allowed are {sorted(_FLIPS)}'
        )
    average = test_cfg.get('average', 'logits')
    check_choice(f'{owner}: test_cfg.average', average, ('logits', 'probabilities'))


def infer(
    predict: Predict,
    inputs: Tensor,
    metas: list[dict],
    test_cfg: Mapping[str, Any],
    align_corners: bool = False,
) -> Tensor:
    """Run a network over images by a protocol.

    Args:
        predict: Maps images (N, 3, h, w) and metainfo to logits (N, K, h, w).
        inputs: Normalised images (N, 3, H, W).
        metas: Metainfo of the N images.
        test_cfg: The protocol:

            * ``mode``: 'whole' (default) or 'slide', windows of ``crop_size`` at every
              ``stride`` pixels; ``window_batch`` of them (16) go through together.
              ``windows`` fixes their number a side (the release takes 5 on LoveDA
              where 3 are enough, so that the last one counts three times).
            * ``average``: of overlapping windows, 'logits' (default, mmseg) or
              'probabilities' (the release).
            * ``flip``: directions that are averaged with the image itself, of
              'horizontal', 'vertical', 'diagonal'.
            * ``resize``: (H, W) that the network sees instead of the image.
        align_corners: Of the resizing.

    Returns:
        (N, K, H, W): logits for one view without ``resize``, else probabilities,
        averaged over the views; of a single channel always logits.
    """
    flips = list(test_cfg.get('flip') or ())
    size = test_cfg.get('resize')
    shown = inputs
    if size is not None:
        shown = resize(
            inputs,
            size=tuple(size),
            mode='bilinear',
            align_corners=align_corners,
            warning=False,
        )
        metas = [{**meta, 'img_shape': torch.Size(size)} for meta in metas]
    see = slide if test_cfg.get('mode', 'whole') == 'slide' else _whole
    first = see(predict, shown, metas, test_cfg)
    if not flips and size is None:
        return first
    single = first.shape[1] == 1
    by_window = see is slide and test_cfg.get('average') == 'probabilities'
    by_window &= not single
    convert = (lambda seen: seen) if by_window else to_probabilities
    total = convert(first)
    for flip in flips:
        mirrored = see(predict, shown.flip(_FLIPS[flip]), metas, test_cfg)
        total = total + convert(mirrored).flip(_FLIPS[flip])
    mean = total / (1 + len(flips))
    if size is not None:
        mean = resize(
            mean,
            size=inputs.shape[-2:],
            mode='bilinear',
            align_corners=align_corners,
            warning=False,
        )
    # mmseg takes the sigmoid of one channel afterwards.
    return mean.logit() if single else mean


def to_probabilities(logits: Tensor) -> Tensor:
    """Turn logits (N, K, H, W) into probabilities, by a sigmoid if K is 1."""
    return logits.softmax(dim=1) if logits.shape[1] > 1 else logits.sigmoid()


def _whole(
    predict: Predict, inputs: Tensor, metas: list[dict], test_cfg: Mapping[str, Any]
) -> Tensor:
    """Show images at once."""
    return predict(inputs, metas)


def slide(
    predict: Predict, inputs: Tensor, metas: list[dict], test_cfg: Mapping[str, Any]
) -> Tensor:
    """Show images window by window; overlaps are averaged.

    mmseg pads the logits of every window to the whole image before it adds them,
    and runs one window at a time: with 16 classes 799 ms of stitching a window on a
    4096-px image, where adding to a slice takes 3.3 ms.

    Args:
        predict: See :func:`infer`.
        inputs: Images, (N, 3, H, W).
        metas: Metainfo of the N images.
        test_cfg: See :func:`infer`.

    Returns:
        Mean of logits or probabilities, (N, K, H, W).

    Raises:
        ValueError: ``windows`` are too few to see every pixel.
    """
    height, width = inputs.shape[-2:]
    crop, stride = test_cfg['crop_size'], test_cfg['stride']
    number = test_cfg.get('windows')
    rows = window_starts(height, crop[0], stride[0], number)
    columns = window_starts(width, crop[1], stride[1], number)
    # A window is never larger than the image; all have the same size.
    h, w = min(crop[0], height), min(crop[1], width)
    corners = list(product(rows, columns))
    metas = [{**meta, 'img_shape': torch.Size((h, w))} for meta in metas]
    probable = test_cfg.get('average') == 'probabilities'
    total = None
    count = inputs.new_zeros((height, width))
    step = max(test_cfg.get('window_batch', 16) // len(inputs), 1)
    for first in range(0, len(corners), step):
        chosen = corners[first : first + step]
        windows = torch.cat([inputs[..., y : y + h, x : x + w] for y, x in chosen])
        seen = predict(windows, metas * len(chosen))
        seen = to_probabilities(seen) if probable else seen
        if total is None:
            total = inputs.new_zeros((len(inputs), seen.shape[1], height, width))
        parts = seen.split(len(inputs))
        for (y, x), part in zip(chosen, parts, strict=True):
            total[..., y : y + h, x : x + w] += part
            count[y : y + h, x : x + w] += 1
    assert total is not None  # an image has a window
    mean = total.div_(count)
    return mean.logit() if probable and mean.shape[1] == 1 else mean


def window_starts(
    length: int, crop: int, stride: int, number: int | None = None
) -> list[int]:
    """Give the offsets of the windows along one side, the last ones shifted back.

    Args:
        length: Pixels of the side.
        crop: Pixels of a window.
        stride: Pixels from one window to the next.
        number: Of windows; None takes as many as are needed.

    Returns:
        Offsets, ascending, the last ones equal if there are more than are needed.

    Raises:
        ValueError: ``number`` is too small to see every pixel.
    """
    needed = max(length - crop + stride - 1, 0) // stride + 1
    number = number or needed
    if number < needed:
        raise ValueError(
            f'test_cfg.windows={number}: {length} pixels in windows of {crop} every '
            f'{stride} need at least {needed}'
        )
    return [max(min(i * stride, length - crop), 0) for i in range(number)]
