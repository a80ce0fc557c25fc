"""What the tests of compiled training share: a counter, a model, its batches."""

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch._dynamo.testing import CompileCounterWithBackend
from torch._dynamo.utils import counters

from s5_mm.models import FixMatch
from s5_mm.testing.toy import toy_backbone, toy_segmentor
from s5_mm.utils import SampleKey

K, SIZE = 4, 32


class Graphs:
    """Counts the graphs that reach a backend, and the breaks between them."""

    def __init__(self, backend: str = 'eager') -> None:
        torch._dynamo.reset()
        counters.clear()
        self.backend = CompileCounterWithBackend(backend)

    @property
    def count(self) -> int:
        """Graphs compiled so far: one a step, one more for each recompilation."""
        return self.backend.frame_count

    @property
    def breaks(self) -> dict:
        """Graph breaks so far, by reason."""
        return dict(counters['graph_break'])


def fixmatch(cls=FixMatch, align_corners: bool = False, **train_cfg):
    """FixMatch with every part of the shipped configs, narrow."""
    torch.manual_seed(0)
    segmentor = toy_segmentor(
        K,
        SIZE,
        type='s5_mm.EncoderDecoder',
        backbone=toy_backbone(
            SIZE,
            arch=dict(embed_dims=16, num_layers=4, num_heads=2),
            drop_path_rate=0.3,
            deferred_upsampling=True,
        ),
    )
    segmentor['decode_head'].update(
        type='s5_mm.UPerHead',
        in_channels=[16] * 4,
        channels=8,
        pool_scales=(1,),
        dropout_ratio=0.1,
        norm_cfg=dict(type='s5_mm.SyncBN'),
        align_corners=align_corners,
    )
    preprocessor = dict(
        type='s5_mm.MultiBranchDataPreprocessor',
        mean=[120.0] * 3,
        std=[60.0] * 3,
        strong=dict(type='s5_mm.StrongAugment'),
        cutmix=dict(type='s5_mm.CutMix', prob=1.0),
    )
    config = {**dict(conf_thresh=0.26), **train_cfg}
    model = cls(segmentor, config, data_preprocessor=preprocessor)
    model.init_weights()
    return model.train()


def crops(seed: int, count: int = 2) -> dict:
    """Collated uint8 crops, different for every seed."""
    draw = torch.Generator().manual_seed(seed)

    def images() -> torch.Tensor:
        shape = (count, 3, SIZE, SIZE)
        return torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)

    labels = torch.randint(
        0, K, (count, 1, SIZE, SIZE), generator=draw, dtype=torch.uint8
    )
    labels[:, :, : 1 + seed % 5] = 255
    keys = [SampleKey(0, 1, seed * count + index) for index in range(count)]
    return dict(
        inputs=dict(sup=images(), unsup=images()),
        data_samples=dict(
            sup=[SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels],
            unsup=[
                SegDataSample(
                    metainfo=dict(
                        sample_key=key, valid_rect=(0, 0, SIZE, SIZE - seed % 7)
                    )
                )
                for key in keys
            ],
        ),
    )


def labelled_inputs(seed):
    """What ``loss`` of the supervised twin takes."""
    data = crops(seed)
    return dict(sup=data['inputs']['sup'] / 255), data['data_samples']
