"""Test protocols: which are refused, and segmentors that predict by theirs."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.structures import SegDataSample

from s5_mm.models.segmentors import EncoderDecoder
from s5_mm.models.segmentors.inference import (
    check_test_cfg,
    infer,
    slide,
)
from s5_mm.utils.routing import RoutingError

from ..toys import toy_segmentor
from .inference_toys import CLASSES, draw_images

SLIDE = dict(mode='slide', crop_size=(8, 8), stride=(4, 4))


@pytest.mark.parametrize(
    'test_cfg',
    [
        dict(),
        dict(mode='whole', flip=['horizontal', 'vertical', 'diagonal'], resize=(5, 5)),
        dict(SLIDE, windows=5, window_batch=2, average='probabilities', threshold=0.5),
        dict(SLIDE, stride=(8, 8), average='logits'),
    ],
)
def test_protocols_that_do(test_cfg):
    check_test_cfg(test_cfg, 'X')
    check_test_cfg(ConfigDict(test_cfg), 'X')


@pytest.mark.parametrize(
    ('test_cfg', 'message'),
    [
        (
            dict(crop=1, mode='whole', window=2),
            r"^X: test_cfg has unknown keys \['crop', 'window'\]; allowed are "
            r"\['average', 'crop_size', 'flip', 'mode', 'resize', 'stride', "
            r"'threshold', 'window_batch', 'windows'\]",
        ),
        (
            dict(mode='Slide'),
            "^X: test_cfg.mode='Slide', allowed are 'whole' and 'slide'",
        ),
        (dict(mode=None), "^X: test_cfg.mode=None, allowed are 'whole' and 'slide'"),
        (
            dict(mode='slide', stride=(4, 4)),
            r"^X: test_cfg\.mode='slide' needs crop_size=\(H, W\) and stride=\(H, W\)",
        ),
        (
            dict(mode='slide', crop_size=(4, 4)),
            r"^X: test_cfg\.mode='slide' needs crop_size=\(H, W\) and stride=\(H, W\)",
        ),
        (
            dict(SLIDE, stride=(4, 9)),
            r'^X: test_cfg\.stride=\(4, 9\) must be in 1\.\.crop_size, which is '
            r'\(8, 8\), or pixels stay unseen',
        ),
        (
            dict(SLIDE, stride=(0, 4)),
            r'^X: test_cfg\.stride=\(0, 4\) must be in 1\.\.crop_size, which is ',
        ),
        (
            dict(SLIDE, window_batch=0),
            '^X: test_cfg.window_batch=0, expected a whole number, at least 1',
        ),
        (
            dict(SLIDE, window_batch=2.5),
            '^X: test_cfg.window_batch=2.5, expected a whole number, at least',
        ),
        (
            dict(flip=['horizontal', 'left']),
            r"^X: test_cfg\.flip has \['left'\]; allowed are \['diagonal', "
            r"'horizontal', 'vertical'\]",
        ),
        (
            dict(SLIDE, average='mean'),
            "^X: test_cfg.average='mean', allowed are 'logits' and 'probabilities'",
        ),
    ],
)
def test_protocols_that_do_not(test_cfg, message):
    with pytest.raises(ValueError, match=message):
        check_test_cfg(test_cfg, 'X')


def _model(test_cfg=None, **kwargs):
    config = toy_segmentor('none', CLASSES)
    config.pop('type')
    config.test_cfg = ConfigDict(test_cfg or {})
    torch.manual_seed(0)
    model = EncoderDecoder(**config, **kwargs).double().eval()
    model.decode_head.conv_seg.weight.data.mul_(100)
    return model


@pytest.mark.parametrize(
    'test_cfg',
    [
        dict(flip=['horizontal']),
        dict(resize=(16, 20)),
        dict(SLIDE, average='probabilities', windows=4),
    ],
)
@torch.no_grad()
def test_the_segmentor_predicts_by_its_protocol(test_cfg):
    model, images = _model(test_cfg), draw_images(2, (16, 20))
    metas = [dict(img_shape=(16, 20), ori_shape=(16, 20)) for _ in images]
    wanted = infer(model.encode_decode, images, metas, test_cfg)
    found = model.predict(images)
    plain = _model().predict(images)
    for sample, own, without in zip(found, wanted, plain, strict=True):
        assert sample.seg_logits.data.equal(own)
        assert sample.pred_sem_seg.data.equal(own.argmax(0, keepdim=True))
        assert not own.equal(without.seg_logits.data)


@torch.no_grad()
def test_slide_inference_is_the_protocols():
    model, images = _model(SLIDE), draw_images(1, (16, 20))
    metas = [dict(img_shape=(16, 20), ori_shape=(16, 20))]
    wanted = slide(model.encode_decode, images, metas, SLIDE)
    assert model.slide_inference(images, metas).equal(wanted)


def test_the_segmentor_checks_its_protocol():
    with pytest.raises(ValueError, match='^EncoderDecoder: test_cfg.mode='):
        _model(dict(mode='slides'))


def _sample(**metainfo):
    shapes = dict(img_shape=(16, 20), ori_shape=(16, 20), pad_shape=(16, 20))
    return SegDataSample(metainfo={**shapes, **metainfo})


@torch.no_grad()
def test_samples_of_another_data_set_are_refused():
    model, images = _model(dataset_name='potsdam'), draw_images(2, (16, 20))
    own, unnamed = _sample(dataset_name='potsdam'), _sample()
    found = model.predict(images, [own, unnamed])
    for sample, alone in zip(found, model.predict(images), strict=True):
        assert sample.pred_sem_seg.data.equal(alone.pred_sem_seg.data)
    other = _sample(dataset_name='loveda', img_path='x/2.png')
    message = (
        r"x/2\.png names the data set 'loveda' \(dataset_name\), this model has "
        r"\['potsdam'\]"
    )
    with pytest.raises(RoutingError, match=message):
        model.predict(images, [_sample(), other])
    # A model that is nobody's takes all.
    assert len(_model().predict(images, [_sample(dataset_name='a'), other])) == 2


@pytest.mark.parametrize(
    'test_cfg',
    [
        dict(flip=['horizontal']),
        dict(resize=(20, 28)),
        dict(mode='slide', crop_size=(8, 8), stride=(4, 4), average='probabilities'),
    ],
)
def test_one_channel_stays_logits_of_the_mean_probability(test_cfg):
    """mmseg takes the sigmoid of a single channel after the protocol."""
    torch.manual_seed(0)
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)

    def one(x, metas):
        return x[:, :1] * 2

    def two(x, metas):  # the same question as two classes
        return torch.cat([torch.zeros_like(x[:, :1]), x[:, :1] * 2], dim=1)

    metas = [dict(img_shape=(16, 16))] * 2
    got = infer(one, images, metas, test_cfg).sigmoid()
    want = infer(two, images, metas, test_cfg)[:, 1:]
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
