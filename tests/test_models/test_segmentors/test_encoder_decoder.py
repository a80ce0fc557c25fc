"""The sliding window against mmseg's."""

import mmseg.models.segmentors as host
import pytest
import torch
from mmengine.config import ConfigDict

from s5_mm.models.segmentors import EncoderDecoder

from ..toys import toy_segmentor


def _pair(**test_cfg):
    config = toy_segmentor('none')
    config.pop('type')
    config.test_cfg = ConfigDict(mode='slide', **test_cfg)
    torch.manual_seed(0)
    theirs = host.EncoderDecoder(**config).double().eval()
    theirs.decode_head.conv_seg.weight.data.mul_(100)
    ours = EncoderDecoder(**config).double().eval()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize('size', [(40, 56), (33, 47), (16, 64), (12, 9)])
@pytest.mark.parametrize(
    ('stride', 'window_batch'), [((16, 16), 16), ((10, 7), 3), ((5, 16), 1)]
)
@torch.no_grad()
def test_logits_equal_mmsegs(size, stride, window_batch):
    ours, theirs = _pair(crop_size=(16, 16), stride=stride, window_batch=window_batch)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    meta = dict(ori_shape=size, img_shape=size, pad_shape=size)
    got = ours.slide_inference(images, [dict(meta), dict(meta)])
    want = theirs.slide_inference(images, [dict(meta), dict(meta)])
    torch.testing.assert_close(got, want, atol=1e-12, rtol=1e-12)
    assert torch.equal(got.argmax(1), want.argmax(1))


@torch.no_grad()
def test_prediction_goes_through_it():
    ours, theirs = _pair(crop_size=(16, 16), stride=(8, 8))
    images = torch.randn(1, 3, 40, 24, dtype=torch.float64)
    got, want = ours.predict(images)[0], theirs.predict(images)[0]
    assert torch.equal(got.pred_sem_seg.data, want.pred_sem_seg.data)


@torch.no_grad()
def test_windows_go_through_the_network_in_batches():
    ours, _ = _pair(crop_size=(16, 16), stride=(16, 16), window_batch=4)
    sizes = []
    ours.backbone.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    ours.predict(torch.randn(1, 3, 48, 48, dtype=torch.float64))
    assert sizes == [4, 4, 1]
