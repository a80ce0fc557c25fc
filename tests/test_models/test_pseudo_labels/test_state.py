"""State of the rules in checkpoints: the same, of another rule, of an old version."""

import pytest
import torch

from s5_mm.models import FixMatch
from s5_mm.registry import MODELS

from ..toys import toy_segmentor
from .batches import RULES, UPDATES, K, learn


def build(name):
    return MODELS.build(dict(RULES[name], num_classes=K))


def model(name=None, **settings):
    if name is not None:
        settings['threshold'] = RULES[name]
    return FixMatch(toy_segmentor(), settings)


@pytest.mark.parametrize('name', list(RULES))
def test_a_rule_continues_to_the_bit(name, tmp_path):
    whole, first = build(name), build(name)
    for seed in range(2):
        learn(whole, seed)
        learn(first, seed)
    torch.save(first.state_dict(), tmp_path / 'state.pt')
    resumed = build(name)
    resumed.load_state_dict(torch.load(tmp_path / 'state.pt', weights_only=True))
    for seed in range(2, UPDATES):
        assert torch.equal(learn(whole, seed), learn(resumed, seed))
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


@pytest.mark.parametrize('name', list(RULES))
def test_shapes_of_the_state_are_fixed(name):
    rule = build(name)
    before = {key: (v.shape, v.dtype) for key, v in rule.state_dict().items()}
    assert before, 'a rule without a state needs no test here'
    learn(rule, 0)
    after = {key: (v.shape, v.dtype) for key, v in rule.state_dict().items()}
    assert after == before


@pytest.mark.parametrize('name', list(RULES))
def test_own_state_is_loaded_with_the_model(name):
    first, second = model(name), model(name)
    learn(first.threshold, 0)
    result = second.load_state_dict(dict(first.state_dict()))
    assert not result.missing_keys
    assert not result.unexpected_keys
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key


def kind(name):
    """What the state of a rule belongs to."""
    if name is None:
        return None
    per_class = RULES[name].get('per_class', False)
    return RULES[name]['type'], per_class


@pytest.mark.parametrize(
    ('source', 'target'),
    [
        (source, target)
        for source in (None, *RULES)
        for target in (None, *RULES)
        if kind(source) != kind(target)
    ],
)
def test_a_checkpoint_of_another_rule_starts_the_rule_anew(source, target):
    first, second, fresh = model(source), model(target), model(target)
    if source is not None:
        learn(first.threshold, 0)
    result = second.load_state_dict(dict(first.state_dict()))
    assert not result.missing_keys
    assert not result.unexpected_keys
    for key, value in fresh.threshold.state_dict().items():
        assert torch.equal(value, second.threshold.state_dict()[key]), key


def test_checkpoints_with_and_without_alignment():
    plain, aligned = model(), model(alignment=dict(type='s5_mm.DistributionAlignment'))
    aligned.alignment.observe_labels(torch.zeros(1, 4, 4, dtype=torch.long))
    for source, target in ((plain, aligned), (aligned, plain)):
        result = target.load_state_dict(dict(source.state_dict()))
        assert not result.missing_keys
        assert not result.unexpected_keys


def test_an_old_checkpoint_has_no_state_of_a_rule():
    target = model('freematch', alignment=dict(type='s5_mm.DistributionAlignment'))
    state = {
        key: value
        for key, value in target.state_dict().items()
        if not key.startswith(('threshold.', 'alignment.'))
    }
    result = target.load_state_dict(state)
    assert not result.missing_keys


def test_a_target_of_the_config_is_not_replaced_by_a_checkpoint():
    first, second = (
        model(alignment=dict(type='s5_mm.DistributionAlignment', target=shares))
        for shares in ([1, 0, 0, 0], [0, 0, 0, 1])
    )
    second.load_state_dict(dict(first.state_dict()))
    assert second.alignment.fixed.tolist() == [0, 0, 0, 1]
