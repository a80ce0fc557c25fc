"""Arguments out of range are refused by name."""

import re

import pytest

from s5_mm.models import FixMatch

from ..toys import toy_segmentor

SHARES = dict(
    FlexMatchThreshold=('value', 'floor', 'momentum'),
    FreeMatchThreshold=('floor', 'ceiling', 'quantile', 'momentum'),
    SoftMatchWeight=('momentum',),
    AdaMatchThreshold=('value', 'momentum'),
    EntropyPercentile=('start', 'end'),
    TopShare=('share', 'floor', 'momentum'),
    RankWeight=('momentum',),
)
OTHERS = [
    ('FlexMatchThreshold', dict(value=0.7, floor=0.8), 'floor=0.8, expected at most 0'),
    ('FreeMatchThreshold', dict(ceiling=0.4), 'floor=0.5, expected at most 0.4, wh'),
    ('SoftMatchWeight', dict(n_sigma=0), 'n_sigma=0, expected above 0'),
    ('SoftMatchWeight', dict(n_sigma='2'), "n_sigma='2', expected above 0"),
    ('RankWeight', dict(quantiles=0), 'quantiles=0, expected a whole number, at '),
    ('RankWeight', dict(quantiles=2.5), 'quantiles=2.5, expected a whole number, '),
    ('RankWeight', dict(kappa=(-1, 2)), 'kappa must be two numbers of at least 0, at'),
    ('RankWeight', dict(kappa=(2,)), 'kappa must be two numbers of at least 0, at th'),
    ('RankWeight', dict(kappa=2), 'kappa must be two numbers of at least 0, at the st'),
    ('RankWeight', dict(kappa=('a', 'b')), 'kappa must be two numbers of at least 0, '),
    ('RankWeight', dict(kappa=(2, float('inf'))), 'kappa must be two numbers of at le'),
    (
        'FlexMatchThreshold',
        dict(warm_up='no'),
        "warm_up='no', allowed are False an",
    ),
    (
        'SoftMatchWeight',
        dict(per_class='no'),
        "per_class='no', allowed are False a",
    ),
]
ALIGNMENTS = [
    (dict(momentum=1.1), 'momentum=1.1, expected 0 to 1'),
    (dict(power=2), 'power=2, expected 0 to 1'),
    (dict(eps='0.1'), "eps='0.1', expected above 0 and below 1"),
    (dict(target=5), 'target must be 4 numbers of at least 0, one per class, not all '),
    (dict(eps=0), 'eps=0, expected above 0 and below 1'),
    (
        dict(target='label'),
        "target must be one of ('labels', 'uniform') or 4 shares, g",
    ),
    (dict(target=[1, 2, 3]), 'target must be 4 numbers of at least 0, one per class'),
    (dict(target=[1, 2, 3, -1]), 'target must be 4 numbers of at least 0, one per cla'),
    (dict(target=[0, 0, 0, 0]), 'target must be 4 numbers of at least 0, one per clas'),
    (dict(target=[1, 1, 1, '1']), 'target must be 4 numbers of at least 0, one per cl'),
    (dict(target=[1, 1, 1, float('inf')]), 'target must be 4 numbers of at least 0, '),
]


def refused(message, **settings):
    with pytest.raises(ValueError, match=re.escape(f'semi_train_cfg.{message}')):
        FixMatch(toy_segmentor(), settings)


@pytest.mark.parametrize('value', [-0.1, 1.1, '0.5', True])
@pytest.mark.parametrize(
    ('kind', 'name'), [(kind, name) for kind, names in SHARES.items() for name in names]
)
def test_shares(kind, name, value):
    message = f'threshold.{name}={value!r}, expected 0 to 1'
    refused(message, threshold={'type': f's5_mm.{kind}', name: value})


@pytest.mark.parametrize(('kind', 'settings', 'message'), OTHERS)
def test_other_arguments(kind, settings, message):
    refused(f'threshold.{message}', threshold=dict(type=f's5_mm.{kind}', **settings))


@pytest.mark.parametrize(('settings', 'message'), ALIGNMENTS)
def test_arguments_of_the_alignment(settings, message):
    config = dict(type='s5_mm.DistributionAlignment', **settings)
    refused(f'alignment.{message}', alignment=config)


@pytest.mark.parametrize('value', ['s5_mm.NoThreshold', True, 5, {}, dict(share=0.5)])
@pytest.mark.parametrize('key', ['threshold', 'alignment', 'mixing'])
def test_what_is_no_config(key, value):
    refused(f'{key} must be a config, dict(type=...) with', **{key: value})


@pytest.mark.parametrize(
    ('key', 'kind'),
    [
        ('threshold', 'DistributionAlignment'),
        ('threshold', 'ClassMix'),
        ('alignment', 'NoThreshold'),
        ('mixing', 'NoThreshold'),
    ],
)
def test_parts_in_the_place_of_others(key, kind):
    refused(f'{key} is a {kind}, expected ', **{key: dict(type=f's5_mm.{kind}')})


@pytest.mark.parametrize('key', ['soft_targets', 'average_losses', 'sync_normalizer'])
def test_switches(key):
    refused(f"{key}='no', allowed are False and True", **{key: 'no'})
