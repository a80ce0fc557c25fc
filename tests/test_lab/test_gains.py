"""Pairs, figures of two networks, and what is refused or left out."""

import json
import math

import pytest

from s5_mm.lab import RunFigures, compare, gain_table, notes, run_table

BASE = {0: [50.0, 60.0], 1: [40.0, 55.0], 2: [58.0, 57.0]}
OURS = {0: [52.0, 64.0], 1: [70.0, 56.0], 2: [51.0, 60.0]}


def _run(arm, seed, figures, **changes):
    """A run that was validated at 50 and 100 of 100 iterations."""
    curves = figures if isinstance(figures, dict) else {'mIoU': figures}
    values = {key: dict(zip((50, 100), v, strict=False)) for key, v in curves.items()}
    fields = dict(seed=seed, split=f'seed{seed}', test_set='val', max_iters=100)
    return RunFigures(arm, f'{arm}/{seed}', **{**fields, 'values': values, **changes})


def _arms(**changes):
    arms = {
        'labels': [_run('labels', seed, figures) for seed, figures in BASE.items()],
        'recipe': [_run('recipe', seed, figures) for seed, figures in OURS.items()],
    }
    return {**arms, **changes}


def _gain(found, arm, metric='mIoU', network=''):
    (gain,) = (
        gain
        for gain in found.gains
        if (gain.arm, gain.metric, gain.network) == (arm, metric, network)
    )
    return gain


def test_last_figures_are_paired_by_seed():
    arms = _arms()
    arms['recipe'].reverse()
    found = compare(arms, {'recipe': 'labels'})
    gain = _gain(found, 'recipe')
    assert gain.seeds == (2, 1, 0)
    assert gain.difference.differences == (3.0, 1.0, 4.0)
    assert gain.best == (60.0, 70.0, 64.0)
    base = _gain(found, 'labels')
    assert (base.ours, base.best) == ((60.0, 55.0, 57.0), (60.0, 55.0, 58.0))
    assert base.difference is None
    assert found.left_out == ()
    # scipy.stats.ttest_rel gives (-1.1279, 6.4613) for these three differences.
    assert gain_table(found, 'mIoU').splitlines() == [
        'arm     n  last mIoU  best   gain   95 % interval   sd    positive  '
        'gain by seed',
        'labels  3  57.33      57.67  –      –               –     –         –',
        'recipe  3  60.00      64.67  +2.67  -1.13 to +6.46  1.53  3 of 3    '
        '2: +3.0, 1: +1.0, 0: +4.0',
    ]
    markdown = gain_table(found, 'mIoU', markdown=True).splitlines()
    assert markdown[1] == '| --- ' * 9 + '|'
    assert markdown[3].startswith('| recipe | 3 | 60.00 | 64.67 | +2.67 | -1.13 to')


def test_seeds_of_other_splits_are_no_pairs():
    other = [_run('recipe', seed, OURS[seed], split='seed0') for seed in OURS]
    found = compare(_arms(recipe=other), {'recipe': 'labels'})
    assert _gain(found, 'recipe').seeds == (0,)
    assert len(found.left_out) == 2
    assert found.left_out[0] == (
        'recipe, seed 1: no finished run of labels with this seed and split (seed0)'
    )
    assert gain_table(found, 'mIoU').splitlines()[2].split()[5:10] == [
        *('none:', '1', 'pair'),
        *('–', '1'),
    ]
    assert notes(found)[-1] == (
        'recipe: 1 pair with labels, an interval needs at least 2'
    )


@pytest.mark.parametrize(
    ('changes', 'problem'),
    [
        (dict(error='failed with status 1: boom'), 'failed with status 1: boom'),
        (dict(max_iters=200), None),
        (dict(values={}), 'no mIoU in its scalars'),
        (dict(values={'mIoU': {50: 1.0}}), 'unfinished, validated at 50 of 100 iter'),
        (dict(values={'mIoU': {50: 1.0, 100: math.nan}}), 'its last mIoU is nan'),
    ],
)
def test_runs_without_a_last_figure_are_left_out(changes, problem):
    arms = _arms()
    arms['recipe'][1] = _run('recipe', 1, OURS[1], **changes)
    if problem is None:
        text = (
            r'recipe/1 has max_iters=200, labels/0 has 100; expected runs of one test'
        )
        with pytest.raises(ValueError, match=text):
            compare(arms, {'recipe': 'labels'})
        return
    found = compare(arms, {'recipe': 'labels'})
    assert _gain(found, 'recipe').seeds == (0, 2)
    assert _gain(found, 'recipe').difference.differences == (4.0, 3.0)
    (line,) = found.left_out
    assert line.startswith(f'recipe, seed 1: {problem}')
    assert line.endswith('(recipe/1)')
    assert f'left out: {line}' in notes(found)
    assert problem in run_table(arms, 'mIoU')


def test_every_arm_has_the_length_of_its_baseline():
    longer = {
        name: [_run(name, seed, curves[seed], max_iters=200) for seed in OURS]
        for name, curves in (('labels_200', BASE), ('recipe_200', OURS))
    }
    for runs in longer.values():
        for run in runs:
            run.values['mIoU'] = {200: run.values['mIoU'][100]}
    found = compare(_arms(**longer), {'recipe': 'labels', 'recipe_200': 'labels_200'})
    assert _gain(found, 'recipe_200').difference.differences == (4.0, 1.0, 3.0)
    with pytest.raises(ValueError, match='has max_iters=200, labels/0 has 100'):
        compare(_arms(**longer), {'recipe_200': 'labels'})


def test_other_test_images_are_refused():
    arms = _arms(recipe=[_run('recipe', 0, OURS[0], test_set='train')])
    with pytest.raises(ValueError, match='has test_set=train, labels/0 has val'):
        compare(arms, {'recipe': 'labels'})


def test_a_seed_twice_is_refused():
    arms = _arms(recipe=[_run('recipe', 0, OURS[0]), _run('recipe', 0, OURS[1])])
    with pytest.raises(ValueError, match="arm 'recipe' have the same seed 0 and split"):
        compare(arms, {'recipe': 'labels'})


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"no arms \['none'\] to compare with, found"):
        compare(_arms(), {'recipe': 'none'})
    with pytest.raises(ValueError, match=r"no run has the metric 'AP'; they have"):
        compare(_arms(), {'recipe': 'labels'}, metric='AP')
    with pytest.raises(ValueError, match='no run has figures per class'):
        compare(_arms(), {'recipe': 'labels'}, per_class=True)
    nothing = {'labels': [_run('labels', 0, {})]}
    with pytest.raises(ValueError, match='none was validated yet'):
        compare(nothing, {})


def test_student_and_teacher_are_both_compared():
    two = {
        seed: {'mIoU': v, 'teacher/mIoU': [x + 1 for x in v]}
        for seed, v in OURS.items()
    }
    arms = _arms(recipe=[_run('recipe', seed, two[seed]) for seed in two])
    found = compare(arms, {'recipe': 'labels'})
    student = _gain(found, 'recipe', network='student')
    teacher = _gain(found, 'recipe', network='teacher')
    assert student.difference.differences == (4.0, 1.0, 3.0)
    assert teacher.difference.differences == (5.0, 2.0, 4.0)
    rows = [line.split() for line in gain_table(found, 'mIoU').splitlines()]
    assert [row[:3] for row in rows] == [
        ['arm', 'network', 'n'],
        ['labels', '–', '3'],
        ['recipe', 'student', '3'],
        ['recipe', 'teacher', '3'],
    ]
    assert rows[3][3:5] == ['61.00', '65.67']
    table = run_table(arms, 'mIoU').splitlines()
    assert table[0].split()[7] == 'teacher/mIoU'
    assert '71.00 (50)' in table[5]
    # One run that lacks it: there is no mean teacher.
    arms['recipe'][0] = _run('recipe', 0, OURS[0])
    assert _gain(compare(arms, {'recipe': 'labels'}), 'recipe').network == ''


def test_the_student_is_the_other_network_where_the_teacher_predicts():
    runs = [
        _run('recipe', seed, {'mIoU': v, 'student/mIoU': [0.0, 0.0]})
        for seed, v in OURS.items()
    ]
    found = compare(_arms(recipe=runs), {'recipe': 'labels'})
    assert _gain(found, 'recipe', network='teacher').ours == (64.0, 56.0, 60.0)
    assert _gain(found, 'recipe', network='student').ours == (0.0, 0.0, 0.0)


def test_classes():
    def with_classes(arm, figures, ships):
        return [
            _run(arm, seed, {'mIoU': v, 'IoU/ship': ships, 'IoU/air': [1.0, math.nan]})
            for seed, v in figures.items()
        ]

    arms = {
        'labels': with_classes('labels', BASE, [10.0, 20.0]),
        'recipe': with_classes('recipe', OURS, [10.0, 25.0]),
    }
    found = compare(arms, {'recipe': 'labels'}, per_class=True)
    assert found.metrics == ('mIoU', 'IoU/air', 'IoU/ship')
    assert _gain(found, 'recipe', 'IoU/ship').difference.mean == 5.0
    air = _gain(found, 'recipe', 'IoU/air')
    assert air.difference is None
    assert json.loads(json.dumps(air.to_dict(), allow_nan=False))['ours'] == [None] * 3


def test_arms_with_baselines_of_their_own():
    arms = _arms(
        random=[_run('random', seed, [v[0], v[1] - 10]) for seed, v in BASE.items()],
        scratch=[_run('scratch', seed, [v[0], v[1] - 9]) for seed, v in BASE.items()],
    )
    found = compare(arms, {'recipe': 'labels', 'scratch': 'random'})
    assert _gain(found, 'scratch').difference.differences == (1.0, 1.0, 1.0)
    rows = [line.split()[:2] for line in gain_table(found, 'mIoU').splitlines()]
    assert rows == [
        ['arm', 'against'],
        ['labels', '–'],
        ['recipe', 'labels'],
        ['random', '–'],
        ['scratch', 'random'],
    ]


def test_figures_survive_json():
    run = _run('recipe', 3, {'mIoU': [1.0, 2.0], 'IoU/a': [math.nan, 2.0]}, seconds=3.0)
    text = json.dumps(run.to_dict(), allow_nan=False)
    again = RunFigures.from_dict(json.loads(text))
    assert math.isnan(again.values['IoU/a'][50])
    assert again.best('IoU/a') == (2.0, 100)
    assert str(again) == str(run)
