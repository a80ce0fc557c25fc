"""A segmentor of three data sets small enough for exact tests."""

import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from s5_mm.registry import MODELS

CLASSES = dict(a=5, b=3, c=4)
SIZE = 32


def config(moe: bool = True, names: str = 'abc', **kwargs) -> ConfigDict:
    """Config of a model for some of the data sets; ``kwargs`` replace parts."""
    backbone = dict(
        type='s5_mm.ViT',
        arch=dict(embed_dims=24, num_layers=4, num_heads=2),
        img_size=SIZE,
        patch_size=8,
        drop_path_rate=0.0,
    )
    if moe:
        backbone.update(type='s5_mm.ViTMoE', part_features=8)
    cfg = dict(
        type='s5_mm.MultiDatasetSegmentor',
        backbone=backbone,
        decode_head=dict(
            type='mmseg.UPerHead',
            in_channels=[24] * 4,
            in_index=[0, 1, 2, 3],
            pool_scales=(1, 2),
            channels=8,
            dropout_ratio=0.0,
            norm_cfg=dict(type='s5_mm.SyncBN'),
            align_corners=False,
            loss_decode=dict(type='s5_mm.PixelCrossEntropy'),
        ),
        datasets={name: dict(num_classes=CLASSES[name]) for name in names},
        data_preprocessor=dict(
            type='s5_mm.MultiDatasetDataPreprocessor', mean=[0.0] * 3, std=[1.0] * 3
        ),
    )
    return ConfigDict({**cfg, **kwargs})


def build(dtype=torch.float64, **kwargs):
    """Build and initialise a model."""
    torch.manual_seed(0)
    model = MODELS.build(config(**kwargs))
    model.init_weights()
    return model.to(dtype)


def batch(names: str, seed: int = 0, dtype=torch.float64):
    """Images and labelled samples, one for each letter of ``names``."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(
        len(names), 3, SIZE, SIZE, generator=generator, dtype=torch.float64
    ).to(dtype)
    samples = []
    for name in names:
        labels = torch.randint(
            0, CLASSES[name], (1, SIZE, SIZE), generator=generator, dtype=torch.uint8
        )
        labels[:, :5] = 255
        sample = SegDataSample(
            metainfo=dict(
                dataset_name=name,
                img_path=f'{name}.png',
                ori_shape=(SIZE, SIZE),
                img_shape=(SIZE, SIZE),
            )
        )
        sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)
    return images, samples


def total(losses: dict) -> torch.Tensor:
    """Sum of what is differentiated."""
    return sum(value for key, value in losses.items() if 'loss' in key)
