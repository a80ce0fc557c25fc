from __future__ import annotations

import torch
from mmengine.registry import init_default_scope

import s5_mm.models  # noqa: F401
from s5_mm.registry import MODELS
from s5_mm.testing import toy_backbone, toy_segmentor


def test_toy_segmentor_runs():
    init_default_scope('mmseg')
    model = MODELS.build(toy_segmentor(num_classes=4, img_size=32)).eval()
    assert sum(p.numel() for p in model.parameters()) < 200_000
    with torch.no_grad():
        out = model.encode_decode(torch.zeros(2, 3, 32, 32), [dict(img_shape=(32, 32))])
    assert out.shape == (2, 4, 32, 32)


def test_arguments_reach_the_configs():
    assert toy_backbone(64, with_cp=True)['with_cp'] is True
    assert toy_backbone(64)['img_size'] == 64
    config = toy_segmentor(3, 48, test_cfg=dict(mode='slide'))
    assert config['backbone']['img_size'] == 48
    assert config['decode_head']['num_classes'] == 3
    assert config['test_cfg'] == dict(mode='slide')
