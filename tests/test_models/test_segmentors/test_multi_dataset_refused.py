"""What s5_mm.MultiDatasetSegmentor refuses, by name."""

import re

import pytest
from mmseg.structures import SegDataSample

from s5_mm.registry import MODELS
from s5_mm.utils.routing import RoutingError

from .multi_dataset import batch, build, config


def test_unknown_and_scattered_data_sets_are_refused():
    model = build()
    images, samples = batch('ab')
    samples[1].set_metainfo(dict(dataset_name='z'))
    message = r"b\.png names the data set 'z'.* \['a', 'b', 'c'\]"
    with pytest.raises(RoutingError, match=message):
        model.loss(images, samples)
    with pytest.raises(RoutingError, match=message):
        model.eval().predict(images, samples)
    with pytest.raises(RoutingError, match='names no data set'):
        model.predict(images, [SegDataSample(), SegDataSample()])
    images, samples = batch('aba')
    with pytest.raises(RoutingError, match=r"not contiguous .*\['a', 'b', 'a'\]"):
        model.loss(images, samples)


@pytest.mark.parametrize(
    ('datasets', 'message'),
    [
        ({}, 'got no data sets'),
        ([dict(name='a', num_classes=2)] * 2, r"\['a'\] occur more than once"),
        (dict(a=dict()), r'datasets\.a has the keys \[\]; num_classes is required'),
        (dict(a=dict(num_classes=2, loss=1)), r"keys \['loss', 'num_classes'\]"),
        (
            dict(a=dict(num_classes=0)),
            '=0, expected a whole number, 2 to 254 ',
        ),
        (
            dict(a=dict(num_classes=2, loss_weight=-1)),
            'weight=-1, expected at least 0',
        ),
        (
            dict(a=dict(num_classes=2, start_iter=1.5)),
            'iter=1.5, expected a whole',
        ),
        (
            dict(a=dict(num_classes=2, test_cfg=dict(mode='tile'))),
            r"datasets\.a: test_cfg.mode='tile', allowed are 'whole' and 'slide'",
        ),
        (
            dict(
                a=dict(num_classes=2),
                b=dict(num_classes=2, decode_head=dict(align_corners=True)),
            ),
            'differ in align_corners',
        ),
    ],
)
def test_wrong_settings_are_refused(datasets, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(config(datasets=datasets))


def test_missing_expert_is_refused():
    cfg = config()
    cfg.backbone.datasets = ['a', 'b']
    with pytest.raises(ValueError, match=r"\['a', 'b'\] has no expert for \['c'\]"):
        MODELS.build(cfg)


def test_init_cfg_is_refused():
    with pytest.raises(ValueError, match='takes no init_cfg.*load_from'):
        MODELS.build(config(init_cfg=dict(type='Pretrained', checkpoint='x')))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            dict(decode_head=dict(config().decode_head, num_classes=16)),
            'datasets.a.decode_head.num_classes=16 would have no effect; set datasets',
        ),
        (
            dict(datasets=dict(a=dict(num_classes=5, decode_head=dict(num_classes=3)))),
            'datasets.a.decode_head.num_classes=3 would have no effect; set datasets.a',
        ),
        (
            dict(pretrained='vit.pth'),
            "pretrained='vit.pth' would have no effect; use backbone.init_cfg=",
        ),
        (
            dict(train_cfg=dict(work=1)),
            "train_cfg={'work': 1} would have no effect; it has no training settings",
        ),
        (
            dict(
                datasets=dict(
                    a=dict(
                        num_classes=5,
                        decode_head=dict(
                            loss_decode=dict(
                                type='mmseg.CrossEntropyLoss', class_weight=[1.0]
                            )
                        ),
                    )
                )
            ),
            'datasets.a.decode_head.loss_decode: CrossEntropyLoss has 1 class_weight',
        ),
    ],
)
def test_settings_without_effect_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build(**arguments)
