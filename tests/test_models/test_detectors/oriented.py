"""Oriented detectors and batches small enough for exact tests."""

import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from mmrotate.structures.bbox import RotatedBoxes

from s5_mm.registry import MODELS
from s5_mm.testing import toy_detector

CLASSES = dict(a=3, b=1, c=2)
SIZE = 64


def config(moe: bool = True, names: str = 'abc', **kwargs) -> ConfigDict:
    """Config of a model for some of the data sets; ``kwargs`` replace parts."""
    detector = toy_detector()
    preprocessor, backbone = (
        detector.pop('data_preprocessor'),
        detector.pop('backbone'),
    )
    if moe:
        backbone.update(type='s5_mm.ViTMoE', part_features=8)
    cfg = dict(
        type='s5_mm.MultiDatasetDetector',
        data_preprocessor=preprocessor,
        backbone=backbone,
        detector=detector,
        datasets={name: dict(num_classes=CLASSES[name]) for name in names},
    )
    return ConfigDict({**cfg, **kwargs})


#: What ours stand in for.
HOSTS = {
    's5_mm.OrientedRCNN': 'mmdet.FasterRCNN',
    's5_mm.DeviceOrientedRPNHead': 'OrientedRPNHead',
    's5_mm.MidpointOffsetCoder': 'MidpointOffsetCoder',
    's5_mm.MaxIoUAssigner': 'mmdet.MaxIoUAssigner',
    's5_mm.Shared2FCBBoxHead': 'mmdet.Shared2FCBBoxHead',
    's5_mm.SmoothL1Loss': 'mmdet.SmoothL1Loss',
}


def hosted(cfg):
    """The config with the classes of mmdet and mmrotate in the place of ours."""
    if isinstance(cfg, dict):
        return {key: hosted(value) for key, value in cfg.items()}
    return HOSTS.get(cfg, cfg) if isinstance(cfg, str) else cfg


def build(cfg=None, seed=0, **kwargs):
    """Build and initialise a model."""
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope('mmrotate'):
        model = MODELS.build(ConfigDict(cfg or config(**kwargs)))
    model.init_weights()
    return model


def sample(name: str, generator: torch.Generator, size=SIZE) -> DetDataSample:
    """A sample with three boxes, of the data set ``name``."""
    shape = (size, size)
    found = DetDataSample(
        metainfo=dict(
            dataset_name=name,
            img_path=f'{name}.png',
            img_id=name,
            img_shape=shape,
            ori_shape=shape,
            pad_shape=shape,
            batch_input_shape=shape,
            scale_factor=(1.0, 1.0),
        )
    )
    low = torch.tensor([16.0, 16.0, 14.0, 8.0, -1.5])
    span = torch.tensor([32.0, 32.0, 14.0, 6.0, 3.0])
    boxes = low + torch.rand(3, 5, generator=generator) * span
    labels = torch.randint(0, CLASSES.get(name, 1), (3,), generator=generator)
    found.gt_instances = InstanceData(bboxes=RotatedBoxes(boxes), labels=labels)
    found.ignored_instances = InstanceData(
        bboxes=RotatedBoxes(torch.zeros(0, 5)), labels=torch.zeros(0).long()
    )
    return found


def batch(names: str, seed: int = 0):
    """Images and samples, one for each letter of ``names``."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(len(names), 3, SIZE, SIZE, generator=generator)
    return images, [sample(name, generator) for name in names]


def total(losses: dict) -> torch.Tensor:
    """What mmengine would differentiate."""
    return sum(value for key, value in losses.items() if 'loss' in key)
