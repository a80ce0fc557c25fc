"""Pipelines of the shipped configs, and corners of boxes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip('mmrotate', reason='mmrotate is not installed')
from mmengine.config import Config  # noqa: E402

CONFIGS = Path(__file__).parents[2] / 'configs/_base_/datasets'


def config(name: str) -> Config:
    return Config.fromfile(CONFIGS / f'{name}.py')[name]


def pipeline(side: int = 80, split: str = 'train') -> list[dict]:
    """The shipped pipeline, for images of any size."""
    shipped = Config.fromfile(CONFIGS / 'multi_dataset_det.py')
    steps = [dict(step) for step in shipped[f'{split}_pipeline']]
    for step in steps:
        if step['type'] == 'mmdet.Resize':
            step['scale'] = (side, side)
    return steps
