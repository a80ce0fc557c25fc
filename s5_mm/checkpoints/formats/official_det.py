"""Oriented detectors of the official S5 release."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from .checkpoint_format import Format
from .official_s5 import order_of_experts, release_table, vit_name

_PART = re.compile(r'^(neck|rpn_head|roi_head)_(\w+?)\.(.+)$')
_BOX_LAYER = re.compile(r'^detectors\..*\.fc_reg\.(?:weight|bias)$')
_BOX_DIMS, _ANGLE = 5, 4


class OfficialDetector(Format):
    """MoE-MDF Oriented R-CNN of the release (OBBDetection, mmdet 2.2).

    Its angles grow counter-clockwise, mmrotate's clockwise: the row of ``fc_reg`` that
    predicts the angle changes its sign.  All other deltas are in the frame of the box
    and the proposals' coder knows no angle, so they stay.  The order of the classes is
    told in ``dataset_meta``, by which they are sorted into the data's when loaded
    (:func:`s5_mm.checkpoints.match_classes`); the file itself names one data set's.
    """

    name = 'official-s5-det'
    title = 'S5 release: MoE-MDF Oriented R-CNN'
    settings = (
        'model.backbone.norm_eps=1e-5',
        'model.backbone.img_size=1024',
        'model.detector.rpn_head.type=s5_mm.OrientedRPNHead',
    )

    def matches(self, names: Collection[str]) -> bool:
        """Match RoI heads that are named after their data sets."""
        return any(re.match(r'roi_head_\w+?\.bbox_head\.', name) for name in names)

    def rename(self, names: Collection[str]) -> dict[str, str]:
        """Translate to the names of a ``s5_mm.MultiDatasetDetector``.

        Raises:
            CheckpointError: There are experts of other data sets than the release's.
        """
        table = release_table()['detection']
        own = table['names']
        experts = order_of_experts(
            names, _datasets(names), table['experts'], 'backbone.'
        )
        experts = {number: own[name] for number, name in experts.items()}
        renamed = {}
        for name in names:
            part = _PART.match(name)
            if part:
                dataset = own.get(part[2], part[2])
                renamed[name] = f'detectors.{dataset}.{part[1]}.{part[3]}'
            elif name.startswith('backbone.') and not name.endswith('cls_token'):
                renamed[name] = vit_name(name, experts)
        return renamed

    def adapt(self, state: dict[str, Tensor]) -> list[str]:
        """Turn the angles."""
        for name, tensor in state.items():
            if _BOX_LAYER.match(name):
                rows = torch.arange(len(tensor)) % _BOX_DIMS == _ANGLE
                sign = torch.where(rows, -1.0, 1.0).to(tensor)
                state[name] = tensor * sign.view(-1, *[1] * (tensor.ndim - 1))
        return ['angles turned from counter-clockwise to clockwise']

    def meta(self, names: Collection[str]) -> dict[str, Any]:
        """Name the classes of each data set, in the order of the weights."""
        table = release_table()['detection']
        known = [name for name in _datasets(names) if name in table['classes']]
        datasets = {
            table['names'][name]: dict(classes=table['classes'][name]) for name in known
        }
        return dict(dataset_meta=dict(datasets=datasets)) if datasets else {}


def _datasets(names: Collection[str]) -> list[str]:
    """Data sets that a file has RoI heads for."""
    parts = (_PART.match(name) for name in names)
    return list(dict.fromkeys(p[2] for p in parts if p and p[1] == 'roi_head'))
