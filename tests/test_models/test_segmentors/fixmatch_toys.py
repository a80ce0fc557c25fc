"""A small FixMatch and a batch for it."""

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from s5_mm.models.data_preprocessors import MixPlan, rectangles_to_mask
from s5_mm.models.segmentors import FixMatch

from ..toys import toy_segmentor

K, H, W = 4, 16, 24


def build(seed=0, norm='bn', auxiliary=False, cls=FixMatch, **train_cfg):
    torch.manual_seed(seed)
    model = cls(toy_segmentor(norm, K, auxiliary), train_cfg)
    model.init_weights()
    # Spread the logits so that a low threshold passes some pixels and not others.
    model.student.decode_head.conv_seg.weight.data.mul_(300)
    if model.teacher is not None:
        model.teacher.load_state_dict(model.student.state_dict())
    return model.double().train()


def draw_batch(seed=0, separate=False):
    generator = torch.Generator().manual_seed(seed)
    views = 4 if separate else 2
    inputs = dict(
        sup=torch.randn(2, 3, H, W, generator=generator),
        unsup_weak=torch.randn(views, 3, H, W, generator=generator),
        unsup_strong=torch.randn(2, 3, H, W, generator=generator),
    )
    inputs = {name: images.double() for name, images in inputs.items()}
    labels = torch.randint(0, K, (2, 1, H, W), generator=generator).to(torch.uint8)
    labels[0, :, :3] = 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
    rectangles = torch.tensor([[0, 0, 20, H], [4, 2, W, H]] * (views // 2))
    mix = MixPlan(
        region=rectangles_to_mask(torch.tensor([[2, 3, 12, 9], [8, 0, 24, 8]]), H, W),
        partner=torch.tensor([2, 3] if separate else [1, 0]),
        valid=rectangles_to_mask(rectangles, H, W),
    )
    return inputs, dict(sup=samples), mix


def softmax_of(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
