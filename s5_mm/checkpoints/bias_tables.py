"""Tables of relative position biases for another window."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

_TABLE = 'relative_position_bias_table'


def fit_bias_tables(
    state: dict[str, Tensor], wanted: Mapping[str, Tensor]
) -> list[str]:
    """Resample the bias tables of a checkpoint to the windows of a model.

    As mmseg's Swin does for its ``init_cfg`` (bicubic, align_corners=False), but for
    every way to load.

    Args:
        state: Tensors by the model's names; tables ((2w - 1)^2, heads) are changed in
            place.
        wanted: What the model has.

    Returns:
        What was done, for the log.
    """
    sides: dict[tuple[int, int], int] = {}
    for name, table in state.items():
        own = wanted.get(name)
        if not name.endswith(_TABLE) or own is None or own.shape == table.shape:
            continue
        if table.ndim != 2 or table.shape[1] != own.shape[1]:
            continue
        source, target = math.isqrt(len(table)), math.isqrt(len(own))
        if source**2 != len(table) or target**2 != len(own):
            continue
        image = table.float().t().unflatten(1, (source, source))[None]
        image = F.interpolate(image, (target, target), mode='bicubic')
        state[name] = image[0].flatten(1).t().to(table.dtype).contiguous()
        key = ((source + 1) // 2, (target + 1) // 2)
        sides[key] = sides.get(key, 0) + 1
    return [
        f'{count} bias tables resampled from windows of {source} to {target} patches'
        for (source, target), count in sides.items()
    ]
