"""FixMatch: checkpoints, the network that predicts, settings that are refused."""

import pytest
import torch

from s5_mm.models.segmentors import FixMatch

from ..toys import toy_segmentor
from .fixmatch_toys import H, K, W, build


def test_bare_segmentor_fills_student_and_teacher():
    source = build(seed=1).student.state_dict()
    model = build(seed=2, ema_momentum=0.99)
    result = model.load_state_dict(dict(source))
    assert not result.missing_keys
    assert not result.unexpected_keys
    for network in (model.student, model.teacher):
        for key, value in network.state_dict().items():
            assert torch.equal(value, source[key]), key


def test_run_with_teacher_loads_into_one_without_and_back():
    with_teacher, without = build(seed=1, ema_momentum=0.9), build(seed=2)
    without.load_state_dict(dict(with_teacher.state_dict()))
    fresh = build(seed=3, ema_momentum=0.9)
    fresh.load_state_dict(dict(without.state_dict()))
    want = with_teacher.student.state_dict()
    for key, value in fresh.teacher.state_dict().items():
        assert torch.equal(value, want[key]), key


@pytest.mark.parametrize('network', ['student', 'teacher'])
def test_prediction_comes_from_the_network_that_was_asked_for(network):
    model = FixMatch(
        toy_segmentor(), dict(ema_momentum=0.9), semi_test_cfg=dict(predict_on=network)
    ).eval()
    torch.nn.init.normal_(model.teacher.decode_head.conv_seg.weight)
    images = torch.randn(1, 3, H, W)
    got = model(images, mode='predict')[0].seg_logits.data
    want = getattr(model, network).predict(images)[0].seg_logits.data
    assert torch.equal(got, want)
    assert model.decode_head is getattr(model, network).decode_head
    assert model.out_channels == K


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(semi_train_cfg=dict(conf_tresh=0.9)), r"unknown keys \['conf_tresh'\]"),
        (
            dict(semi_train_cfg=dict(conf_thresh=1.2)),
            'thresh=1.2, expected 0 to 1',
        ),
        (
            dict(semi_train_cfg=dict(normalization='sum')),
            "='sum', allowed are 'valid', ",
        ),
        (dict(semi_train_cfg=dict(soft_targets=0.5)), '=0.5, allowed are False and T'),
        (
            dict(semi_train_cfg=dict(ema_buffers='mean')),
            "buffers='mean', allowed are",
        ),
        (dict(semi_train_cfg=dict(ema_momentum=-0.1)), 'tum=-0.1, expected 0 to 1'),
        (
            dict(semi_train_cfg=dict(burn_in=-1)),
            'burn_in must be a number of iteration',
        ),
        (
            dict(semi_train_cfg=dict(burn_in=1.0)),
            'burn_in must be a number of iteratio',
        ),
        (dict(semi_train_cfg=dict(ramp='0.1')), 'ramp must be a number of iterations'),
        (
            dict(
                semi_train_cfg=dict(
                    conf_thresh=0.5, threshold=dict(type='s5_mm.NoThreshold')
                )
            ),
            'has conf_thresh=0.5 and threshold=',
        ),
        (
            dict(
                semi_train_cfg=dict(
                    threshold=dict(type='s5_mm.FixedThreshold', value=-1)
                )
            ),
            'threshold.value=-1, expected 0 to 1',
        ),
        (
            dict(semi_train_cfg=dict(unsup_weight=-0.5)),
            'weight=-0.5, expected at least',
        ),
        (
            dict(semi_train_cfg=dict(unsup_weight=None)),
            'weight=None, expected at least',
        ),
        (dict(semi_test_cfg=dict(predict_on='both')), "predict_on='both', allowed are"),
        (
            dict(semi_test_cfg=dict(predict_on='teacher')),
            r'set semi_train_cfg\.ema_momentum',
        ),
        (dict(init_cfg=dict(type='Pretrained')), 'takes no init_cfg'),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FixMatch(toy_segmentor(), **arguments)
