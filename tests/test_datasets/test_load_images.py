"""Loading and packing as transforms, in our pipelines and in mmseg's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.registry import init_default_scope

from s5_mm.datasets import LoadImage, LoadMask, PackSample
from s5_mm.io.images.header import ImageError

from .files import ids, picture, write


def test_load_image(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.png', picture())
    results = LoadImage().transform({'img_path': path})
    np.testing.assert_array_equal(results['img'], picture())
    assert results['img_shape'] == results['ori_shape'] == (32, 40)
    with pytest.raises(
        ValueError, match="alpha='keep', allowed are 'error' and 'drop'"
    ):
        LoadImage(alpha='keep')
    with pytest.raises(ValueError, match="grey=1, allowed are 'error' and 'repeat'"):
        LoadImage(grey=1)
    assert repr(LoadImage(grey='repeat')) == "LoadImage(alpha='error', grey='repeat')"


def test_load_mask(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.png', ids())
    results = {'seg_map_path': path, 'num_classes': 2, 'reduce_zero_label': True}
    LoadMask().transform(results)
    expected = np.where(ids() == 0, 255, ids().astype(int) - 1)
    assert results['gt_seg_map'].dtype == np.uint8
    np.testing.assert_array_equal(results['gt_seg_map'], expected)
    assert results['seg_fields'] == ['gt_seg_map']
    with pytest.raises(ImageError, match=r'a.png: mask value\(s\) 2 .*the 2 classes'):
        LoadMask().transform({'seg_map_path': path, 'num_classes': 2})
    with pytest.raises(
        ImageError, match='a.png: mask of 40x32 px, its image b.jpg has 41x32'
    ):
        LoadMask().transform(
            {'seg_map_path': path, 'ori_shape': (32, 41), 'img_path': 'b.jpg'}
        )


def test_pack() -> None:
    rect = (0, 0, 40, 20)
    results = {
        'img': picture(),
        'gt_seg_map': ids(),
        'source': 'sup',
        'valid_rect': rect,
        'extra': 1,
    }
    packed = PackSample().transform(results)
    inputs, sample = packed['inputs'], packed['data_samples']
    assert inputs.dtype == torch.uint8
    assert inputs.is_contiguous()
    np.testing.assert_array_equal(inputs.numpy(), picture().transpose(2, 0, 1))
    assert sample.gt_sem_seg.data.dtype == torch.uint8
    np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), ids())
    assert sample.metainfo == {'source': 'sup', 'valid_rect': rect}
    packed = PackSample(['extra']).transform({'img': picture()[:, ::-1], 'extra': 1})
    np.testing.assert_array_equal(
        packed['inputs'], picture()[:, ::-1].transpose(2, 0, 1)
    )
    assert 'gt_sem_seg' not in packed['data_samples']
    assert packed['data_samples'].metainfo == {'extra': 1}
    with pytest.raises(ValueError, match=r'a.png: image of float32 .*expected uint8'):
        PackSample().transform(
            {'img': np.zeros((2, 2, 3), np.float32), 'img_path': 'a.png'}
        )


def test_in_the_test_pipeline_of_mmseg(tmp_path: Path) -> None:
    """Resize keeps the mask as it is, labels become int64, flips of TTA apply."""
    init_default_scope('mmseg')
    pipeline = Compose(
        [
            {'type': 's5_mm.LoadImage'},
            {'type': 'Resize', 'scale': (80, 64), 'keep_ratio': True},
            {'type': 's5_mm.LoadMask'},
            {'type': 'PackSegInputs'},
        ]
    )
    info = {
        'img_path': write(tmp_path / 'a.png', picture()),
        'seg_map_path': write(tmp_path / 'm.png', ids()),
        'reduce_zero_label': False,
        'seg_fields': [],
        'num_classes': 3,
    }
    packed = pipeline(dict(info))
    assert packed['inputs'].shape == (3, 64, 80)
    sample = packed['data_samples']
    np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), ids())
    assert sample.gt_sem_seg.data.dtype == torch.int64
    assert (sample.ori_shape, sample.img_shape) == ((32, 40), (64, 80))
    tta = Compose(
        [
            {'type': 's5_mm.LoadImage'},
            {
                'type': 'TestTimeAug',
                'transforms': [
                    [
                        {'type': 'RandomFlip', 'prob': 0.0},
                        {'type': 'RandomFlip', 'prob': 1.0},
                    ],
                    [{'type': 's5_mm.LoadMask'}],
                    [{'type': 'PackSegInputs'}],
                ],
            },
        ]
    )
    out = tta({**info, 'seg_fields': []})
    np.testing.assert_array_equal(out['inputs'][1], out['inputs'][0].flip(-1))
    for sample in out['data_samples']:
        np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), ids())
