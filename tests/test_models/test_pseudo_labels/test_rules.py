"""Each rule against its equations, pixel by pixel in fp64, over several updates."""

import numpy as np
import pytest
import torch

from s5_mm.models.pseudo_labels import MovingAverage, Predictions
from s5_mm.models.pseudo_labels.uncertainty_histogram import (
    BINS,
    bin_index,
    quantile,
    upper_edges,
)
from s5_mm.registry import MODELS

from . import reference as plain
from .batches import (
    RULES,
    UPDATES,
    K,
    labelled_confidence,
    learn,
    padding,
    predictions,
    probabilities,
)


def build(config):
    return MODELS.build(dict(config, num_classes=K))


@pytest.mark.parametrize('name', list(RULES))
def test_weights_are_the_equations(name):
    rule, want = build(RULES[name]), plain.reference(RULES[name])
    shares = []
    for seed in range(UPDATES):
        weight = learn(rule, seed)
        expected = want.step(predictions(seed), seed / UPDATES)
        assert weight.dtype == torch.float32
        np.testing.assert_allclose(weight.numpy(), expected, rtol=2e-5, atol=1e-6)
        if hasattr(want, 'limits'):
            limits = rule.class_thresholds().numpy()
            np.testing.assert_allclose(limits, want.limits, rtol=1e-12)
        valid = padding().numpy()
        shares.append(expected[valid].mean())
        if hasattr(want, 'observe'):
            want.observe(probabilities(seed + 100).amax(dim=1).numpy()[valid])
    assert min(shares) > 0.03, 'nothing counts'
    assert max(shares) < 0.97, 'everything counts'


@pytest.mark.parametrize('name', list(RULES))
def test_padding_and_pixels_that_are_not_finite_teach_nothing(name):
    rule, clean = build(RULES[name]), build(RULES[name])
    for seed in range(2):
        labels, confidence, valid, p = predictions(seed)
        learn(clean, seed)
        ruined = torch.where(valid.unsqueeze(1), p, p.flip(1))
        rule.progress = seed / UPDATES
        rule.update(Predictions(ruined.argmax(1), ruined.amax(1), valid, ruined))
        rule.observe_labelled(labelled_confidence(seed))
        # The same pixels again as they overflow, and then a batch of padding alone.
        nothing = torch.full_like(p, torch.nan)
        before = {key: value.clone() for key, value in rule.state_dict().items()}
        for all_valid in (True, False):
            mask = torch.full_like(valid, all_valid)
            teacher = nothing if all_valid else p
            rule.update(Predictions(labels, teacher.amax(1), mask, teacher))
        rule.observe_labelled(torch.zeros(2))
        if name == 'rank':  # forgets, in every class by the same factor
            factor = RULES[name]['momentum'] ** 2
            rule.memory /= factor
        if name == 'entropy':  # has no memory
            rule.highest_entropy.copy_(before['highest_entropy'])
        torch.testing.assert_close(rule.state_dict(), before, rtol=1e-14, atol=0)
    torch.testing.assert_close(
        rule.state_dict(), clean.state_dict(), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize('name', list(RULES))
def test_a_rule_computes_the_same_under_autocast(name):
    weights = []
    for enabled in (False, True):
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=enabled):
            rule = build(RULES[name])
            weights += [torch.stack([learn(rule, seed) for seed in range(3)])]
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ('config', 'expected'),
    [
        (dict(type='s5_mm.FlexMatchThreshold', floor=0.6), 0.6),
        (dict(type='s5_mm.FreeMatchThreshold', ceiling=0.8), 0.8),
        (dict(type='s5_mm.AdaMatchThreshold', value=0.7), 0.7),
        (dict(type='s5_mm.TopShare'), 1.0),
        (dict(type='s5_mm.EntropyPercentile'), 0.0),
        (dict(type='s5_mm.SoftMatchWeight'), 1.0),
        (dict(type='s5_mm.SoftMatchWeight', per_class=True), 1.0),
        (dict(type='s5_mm.RankWeight'), 1.1),
    ],
)
def test_before_the_first_update(config, expected):
    """As documented: the confidence from which pixels of any class count."""
    confidence = torch.tensor([0.3, 0.59, 0.61, 0.69, 0.71, 0.79, 0.81, 0.999, 1.0])
    confidence = confidence.expand(K, 1, -1)
    labels = torch.arange(K).view(K, 1, 1).expand_as(confidence)
    rest = (1 - confidence) / (K - 1)
    one_hot = torch.nn.functional.one_hot(labels, K).movedim(-1, 1).bool()
    p = torch.where(one_hot, confidence.unsqueeze(1), rest.unsqueeze(1))
    valid = torch.ones_like(labels, dtype=torch.bool)
    weight = build(config)(Predictions(labels, confidence, valid, p))
    assert torch.equal(weight > 0, confidence >= expected)


@pytest.mark.parametrize('name', ['softmatch_classes', 'top_share', 'rank'])
def test_a_class_that_is_not_there_is_not_forgotten(name):
    rule = build(RULES[name])
    learn(rule, 0)  # the only batch of the first three with the last class
    last = [v[-1].clone() for v in rule.state_dict().values()]
    learn(rule, 1)
    now = [v[-1] for v in rule.state_dict().values()]
    if name == 'rank':
        last = [value * RULES[name]['momentum'] for value in last]
    assert last[0].any()
    for value, before in zip(now, last, strict=True):
        assert torch.equal(value, before)


def test_one_pixel_of_a_class_has_no_variance():
    rule = build(RULES['softmatch_classes'])
    labels = torch.tensor([[[0, 0, 1]]])
    p = torch.full((1, K, 1, 3), 0.1)
    confidence = torch.tensor([[[0.7, 0.9, 0.8]]])
    valid = torch.ones_like(labels, dtype=torch.bool)
    rule.update(Predictions(labels, confidence, valid, p))
    assert rule.mean.updates.tolist() == rule.variance.updates.tolist() == [1, 0, 0, 0]
    assert rule(Predictions(labels, confidence, valid, p))[..., 2] == 0


def test_moving_average_is_the_mean_until_its_window_is_full():
    average = MovingAverage((2,), momentum=0.75, initial=9.0)
    assert not average.started.any()
    values = torch.rand(8, generator=torch.Generator().manual_seed(0)).double()
    seen = []
    for i, value in enumerate(values):
        average.update(value.expand(2), torch.tensor([True, i % 2 == 1]))
        seen.append(average.value.clone())
    assert seen[0].tolist() == [values[0].item(), 9.0]
    torch.testing.assert_close(seen[3][0], values[:4].mean())
    weights = torch.tensor([0.75 ** (7 - i) * 0.25 for i in range(8)]).double()
    weights[:3] = 0.75**5 / 3  # the mean of the first three, decayed five times
    torch.testing.assert_close(seen[7][0], (weights * values).sum())
    torch.testing.assert_close(seen[7][1], values[1::2].mean())
    assert average.updates.tolist() == [8, 4]


@pytest.mark.parametrize('name', ['FreeMatchThreshold', 'EntropyPercentile'])
def test_a_rule_that_lacks_probabilities_says_so(name):
    rule = build(dict(type=f's5_mm.{name}'))
    assert rule.needs_probabilities
    with pytest.raises(ValueError, match='the predictions have no probabilities'):
        rule.update(predictions(0)._replace(probabilities=None))


def test_constant_momenta():
    """0 keeps the latest value, 1 the mean of all."""
    for momentum, expected in ((0.0, 4.0), (1.0, 2.5)):
        average = MovingAverage((), momentum)
        for value in (1.0, 2.0, 3.0, 4.0):
            average.update(torch.tensor(value), torch.tensor(True))
        assert average.value.item() == pytest.approx(expected)


def test_bins_are_between_their_edges():
    values = torch.cat(
        [
            torch.rand(2000, generator=torch.Generator().manual_seed(0)),
            2.0 ** -torch.linspace(0, 24, 999),
        ]
    )
    bins = bin_index(values)
    want = np.searchsorted(plain.EDGES, values.double().numpy(), side='right')
    assert np.array_equal(bins.numpy(), want.clip(max=BINS - 1))
    assert np.array_equal(upper_edges(torch.arange(BINS)).numpy(), plain.EDGES)
    ends = bin_index(torch.tensor([0.0, 2.0**-30, 2.0**-24, 1.0]))
    assert ends.tolist() == [0, 0, 0, BINS - 1]
    assert torch.equal(bin_index(values.double()), bins)


def test_quantiles_of_histograms():
    counts = torch.zeros(3, BINS, dtype=torch.int64)
    counts[0, [10, 500, 1000]] = torch.tensor([1, 2, 1])
    counts[1, BINS - 1] = 7
    for share, first in ((0.2, 10), (0.25, 10), (0.26, 500), (0.75, 500), (1.0, 1000)):
        got = quantile(counts, share)
        assert got.tolist() == [plain.EDGES[first], 1.0, plain.EDGES[0]]


def test_entropy_drops_no_more_than_its_share():
    rule = build(dict(type='s5_mm.EntropyPercentile', start=0.2, end=0.0))
    batch = predictions(0)
    for progress, most in ((0.0, 0.2), (0.5, 0.1), (0.999, 0.001)):
        rule.progress = progress
        rule.update(batch)
        dropped = 1 - rule(batch)[batch.valid].mean().item()
        assert most - 0.02 < dropped <= most + 1e-6


def test_top_share_passes_its_share_in_every_class():
    rule = build(dict(type='s5_mm.TopShare', share=0.25))
    batch = predictions(0)
    rule.update(batch)
    weight = rule(batch)
    for k in range(K):
        own = weight[(batch.labels == k) & batch.valid]
        assert 0.25 <= own.mean() < 0.35


def test_rare_classes_pass_from_the_floor_alone():
    """The trap of both rules with pixels, and what the argument does to it."""
    p = torch.full((1, K, 1, 1000), 0.01)
    p[:, 0] = 0.97
    p[..., -4:] = torch.tensor([0.4, 0.1, 0.1, 0.4]).view(1, K, 1, 1)
    p[:, 3, :, -4:] += 0.01
    confidence, labels = p.max(dim=1)
    batch = Predictions(labels, confidence, torch.ones_like(labels).bool(), p)
    for kind in ('FlexMatchThreshold', 'FreeMatchThreshold'):
        for floor, passes in ((0.0, 1.0), (0.5, 0.0)):
            rule = build(dict(type=f's5_mm.{kind}', floor=floor))
            rule.update(batch)
            assert rule(batch)[..., -4:].mean() == passes
