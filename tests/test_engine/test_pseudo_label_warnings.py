"""What is warned of, when, and only once."""

import types

import pytest
import torch
from mmengine.config import ConfigDict

from s5_mm.engine.hooks import PseudoLabelStatsHook
from s5_mm.models.segmentors import FixMatch
from s5_mm.testing.toy import toy_segmentor

CLASSES = ('land', 'water', 'ship')
LABELS = (60, 30, 10)
# Readings: pixels that count by class, and all.
GOOD = (50, 25, 5, 100)
CASES = dict(
    few=((0, 0, 0, 2000), '0.00% of the pixels count with conf_thresh=0.95, the un'),
    few_but_some=((1, 0, 0, 2000), '0.05% of the pixels count with conf_thresh=0.95'),
    all=(
        (60, 30, 10, 100),
        '100.0% of the pixels count with conf_thresh=0.95, whi',
    ),
    nearly_all=((600, 300, 99, 1000), '99.9% of the pixels count with conf_thresh'),
    missing=((700, 296, 4, 2000), 'pseudo-labels that count, is ship (10.00%, 0.40%):'),
    gone=((80, 18, 0, 200), 'is ship (10.00%, 0.00%): the student unlearns it'),
    one=((960, 34, 6, 2000), '96.0% of those that count are land, which has 60.0% of'),
)
QUIET = dict(
    good=GOOD,
    just_enough=(2, 1, 1, 4000),  # 0.1 %
    not_quite_all=(600, 300, 98, 1000),
    ship_is_there=(700, 294, 6, 2000),  # 0.6 % of those that count, 1/20 is 0.5 %
    mostly_one=(950, 40, 10, 2000),
)


class _Log:
    def __init__(self):
        self.warnings = []

    def info(self, line):
        assert 'pixels used' in line

    def warning(self, line):
        self.warnings.append(line)


@pytest.fixture(scope='module')
def plain():
    """A model, so as not to build one for each test."""
    return FixMatch(ConfigDict(toy_segmentor(num_classes=3)))


def _with_labels(model, labels=LABELS):
    model.label_counts.copy_(torch.tensor(labels))
    return model


def _runner(model, log, resume=False):
    metainfo = dict(classes=CLASSES)
    return types.SimpleNamespace(
        model=model,
        iter=9,
        _resume=resume,
        visualizer=types.SimpleNamespace(add_scalars=lambda *args, **kwargs: None),
        logger=log,
        train_dataloader=types.SimpleNamespace(
            dataset=types.SimpleNamespace(metainfo=metainfo)
        ),
    )


def _read(hook, model, counts, log):
    """Let a hook read these counts, and return what it warns of."""
    before = len(log.warnings)
    model.pseudo_counts.copy_(torch.tensor(counts))
    hook.after_train_iter(_runner(model, log), 9)
    return log.warnings[before:]


@pytest.mark.parametrize('case', CASES)
def test_each_is_warned_of_once_when_it_has_lasted(plain, case):
    counts, text = CASES[case]
    hook, model, log = PseudoLabelStatsHook(10, 3), _with_labels(plain), _Log()
    for reading in (counts, counts, GOOD, counts, counts):
        assert not _read(hook, model, reading, log)
    (line,) = _read(hook, model, counts, log)
    assert line.startswith('pseudo-labels of the last 30 iterations: ')
    assert text in line
    assert '\n' not in line
    assert 'semi_train_cfg' in line or 'NoThreshold' in line, 'no setting that helps'
    for _ in range(7):
        assert not _read(hook, model, counts, log)


@pytest.mark.parametrize('case', QUIET)
def test_what_is_within_bounds_is_not_warned_of(plain, case):
    hook, model, log = PseudoLabelStatsHook(10, 1), _with_labels(plain), _Log()
    assert not _read(hook, model, QUIET[case], log)


def test_classes_that_go_missing_later_are_named_then(plain):
    hook, model, log = PseudoLabelStatsHook(10, 2), _with_labels(plain), _Log()
    readings = [(90, 10, 0, 200)] * 2 + [(10, 0, 5, 200)] * 2
    said = [_read(hook, model, counts, log) for counts in readings]
    assert [len(lines) for lines in said] == [0, 1, 0, 1]
    assert 'is ship (10.00%, 0.00%):' in said[1][0]
    assert 'is water (30.00%, 0.00%):' in said[3][0]


def test_two_that_go_missing_together_are_one_line(plain):
    hook, model, log = PseudoLabelStatsHook(10, 1), _with_labels(plain), _Log()
    lines = _read(hook, model, (100, 0, 0, 200), log)
    assert len(lines) == 2  # and one class has them all
    assert 'water (30.00%, 0.00%), ship (10.00%, 0.00%)' in lines[1]


@pytest.mark.parametrize(
    ('labels', 'counts'),
    [
        ((70, 30, 0), (50, 50, 0, 200)),  # a class without labels is not missed
        ((81, 10, 9), (970, 15, 15, 2000)),  # as much of one class as in the labels
        ((0, 0, 0), (100, 0, 0, 200)),  # a checkpoint from before labels were counted
    ],
)
def test_classes_are_judged_by_the_labels_alone(plain, labels, counts):
    hook, model = PseudoLabelStatsHook(10, 1), _with_labels(plain, labels)
    assert not _read(hook, model, counts, _Log())


@pytest.mark.parametrize(
    ('train_cfg', 'quiet'),
    [
        (dict(conf_thresh=0.0), True),
        (dict(conf_thresh=None, threshold=dict(type='s5_mm.NoThreshold')), True),
        (dict(conf_thresh=None, threshold=dict(type='s5_mm.TopShare', share=1)), True),
        (dict(conf_thresh=None, threshold=dict(type='s5_mm.TopShare')), False),
        (dict(conf_thresh=None, threshold=dict(type='s5_mm.EntropyPercentile')), True),
        (
            dict(
                conf_thresh=None,
                threshold=dict(type='s5_mm.EntropyPercentile', end=0.1),
            ),
            False,
        ),
        (dict(conf_thresh=None, threshold=dict(type='s5_mm.RankWeight')), False),
    ],
)
def test_every_pixel_may_be_meant(train_cfg, quiet):
    own = FixMatch(ConfigDict(toy_segmentor(num_classes=3)), train_cfg)
    hook, model, log = PseudoLabelStatsHook(10, 1), _with_labels(own), _Log()
    said = _read(hook, model, (60, 30, 10, 100), log)
    assert bool(said) == (not quiet)
    if said:
        name = train_cfg['threshold']['type']
        assert f"count with threshold=dict(type='{name}'" in said[0]


@pytest.mark.parametrize('stop', range(1, 6))
def test_a_resumed_run_warns_as_if_it_had_not_stopped(plain, stop):
    readings = [CASES['missing'][0]] * 4 + [CASES['all'][0]] * 3
    whole, model, log = PseudoLabelStatsHook(10, 3), _with_labels(plain), _Log()
    want = [_read(whole, model, counts, log) for counts in readings]
    assert [len(lines) for lines in want] == [0, 0, 1, 0, 0, 0, 1]
    (first, second), log = (PseudoLabelStatsHook(10, 3) for _ in range(2)), _Log()
    got = [_read(first, model, counts, log) for counts in readings[:stop]]
    checkpoint = dict(meta={})
    first.before_save_checkpoint(_runner(model, log), checkpoint)
    second.after_load_checkpoint(_runner(model, log, resume=True), checkpoint)
    again = dict(meta={})  # saved before the next reading
    second.before_save_checkpoint(_runner(model, log), again)
    assert again == checkpoint
    got += [_read(second, model, counts, log) for counts in readings[stop:]]
    assert got == want


def test_weights_of_another_run_bring_no_memory(plain):
    hook, model, log = PseudoLabelStatsHook(10, 2), _with_labels(plain), _Log()
    state = dict(lasted=dict(few=1), given=['one'])
    checkpoint = dict(meta=dict(pseudo_label_warnings=state))
    hook.after_load_checkpoint(_runner(model, log), checkpoint)  # load_from
    assert not _read(hook, model, CASES['few'][0], log)
    saved = dict(meta={})
    hook.before_save_checkpoint(_runner(model, log), saved)
    assert saved['meta']['pseudo_label_warnings'] == dict(lasted=dict(few=1), given=[])


def test_burn_in_is_no_reason_to_warn_and_none_to_forget(plain):
    hook, model, log = PseudoLabelStatsHook(10, 2), _with_labels(plain), _Log()
    few = CASES['few'][0]
    assert not _read(hook, model, few, log)
    assert not _read(hook, model, (0, 0, 0, 0), log)
    assert len(_read(hook, model, few, log)) == 1
