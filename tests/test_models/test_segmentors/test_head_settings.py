"""Settings of heads that would have no effect are refused."""

import re

import pytest

from s5_mm.models.segmentors import EncoderDecoder, SemiBaseSegmentor

from .head_toys import CE, K, segmentor_of


def _context_head():
    config = segmentor_of()
    config.decode_head = dict(
        type='mmseg.EncHead',
        in_channels=(8, 8, 8),
        in_index=(0, 0, 0),
        channels=8,
        num_codes=2,
        num_classes=K,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type=CE),
        loss_se_decode=dict(type=CE, use_sigmoid=True),
    )
    return config


REFUSED = [
    (
        lambda: dict(segmentor=dict(segmentor_of(), data_preprocessor=dict(type='X'))),
        "SemiBaseSegmentor: segmentor.data_preprocessor={'type': 'X'} would have no "
        'effect; put it into data_preprocessor of the SemiBaseSegmentor itself',
    ),
    (
        lambda: dict(segmentor=segmentor_of(), pretrained='vit.pth'),
        "pretrained='vit.pth' would have no effect; use segmentor.backbone.init_cfg=",
    ),
    (
        lambda: dict(segmentor=segmentor_of(), train_cfg=dict(work=1)),
        "train_cfg={'work': 1} would have no effect; the method is set by semi_train",
    ),
    (
        lambda: dict(segmentor=segmentor_of(ignore_index=0)),
        'segmentor.decode_head.ignore_index=0 found, allowed is 255',
    ),
    (
        lambda: dict(segmentor=_context_head()),
        'segmentor.decode_head: EncHead, which has its own loss_by_feat, predict,',
    ),
    (
        lambda: dict(
            segmentor=segmentor_of(loss_decode=dict(type=CE, class_weight=[1.0, 2.0]))
        ),
        'decode_head.loss_decode: CrossEntropyLoss has 2 class_weight values, '
        'expected one for each of num_classes=4',
    ),
    (
        lambda: dict(segmentor=segmentor_of(loss_decode=dict(type=CE, loss_name='ce'))),
        "loss_decode has the loss_name ['ce']; expected one with 'loss' in it",
    ),
    (
        lambda: dict(
            segmentor=segmentor_of(loss_decode=dict(type='s5_mm.PixelCrossEntropy')),
            semi_train_cfg=dict(sync_normalizer=False),
        ),
        'loss_decode.sync_normalizer=True and semi_train_cfg.sync_normalizer=False',
    ),
]  # fmt: skip


@pytest.mark.parametrize(('arguments', 'message'), REFUSED)
def test_settings_without_effect_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        SemiBaseSegmentor(**arguments())
    assert '\n' not in str(error.value)


def test_a_cascade_is_refused():
    config = segmentor_of()
    config.update(
        type='mmseg.CascadeEncoderDecoder',
        num_stages=2,
        decode_head=[config.decode_head, config.decode_head],
    )
    with pytest.raises(ValueError, match='decode_head: a cascade of 2 heads found'):
        SemiBaseSegmentor(config)


def test_a_plain_segmentor_refuses_losses_that_fail_in_the_first_step():
    config = segmentor_of(loss_decode=dict(type=CE, class_weight=[1.0] * 5))
    config.pop('type')
    with pytest.raises(ValueError, match='decode_head.loss_decode: CrossEntropyLoss h'):
        EncoderDecoder(**config)
