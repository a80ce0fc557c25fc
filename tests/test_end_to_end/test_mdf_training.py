"""One model trains on several data sets: resumed, shared out, tested, left out."""

import time
from collections import Counter

import cv2
import numpy as np
import pytest
import torch

from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint

from ..support.distributed import run_ranks
from .host_syncs import count_host_syncs
from .toy_mdf import (
    TOY,
    InitialWeightsHook,
    Interrupted,
    StopHook,
    call_tool,
    figures,
    run_tool,
    start_tool,
    toy_config,
    train,
    write_toy,
)

FIGURES = ('mIoU', 'mF1', 'mAcc', 'OA')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp('toy_mdf'))


@pytest.fixture(scope='module')
def uninterrupted(data, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('whole')
    cfg = toy_config(data)
    cfg.dump(work_dir / 'toy.py')
    start = InitialWeightsHook()
    train(cfg, work_dir, hooks=[start])
    return work_dir, last_checkpoint(work_dir), start.state


def _own(key, name):
    return f'.experts.{name}.' in key or key.startswith(f'decode_heads.{name}.')


def test_every_part_trains_and_every_loss_is_logged(uninterrupted):
    _, final, start = uninterrupted
    assert final['meta']['iter'] == 12
    history = {
        name.removeprefix('train/'): values.data[0]
        for name, values in final['message_hub']['log_scalars'].items()
    }
    losses = np.stack([history[f'{name}.loss_ce'] for name in TOY])
    assert losses.shape == (3, 12)
    np.testing.assert_allclose(history['loss'], losses.sum(0), rtol=1e-5)
    assert losses[:, -3:].sum() < losses[:, :3].sum() - 0.1
    for name in TOY:
        for figure in FIGURES:
            assert len(history[f'val/{name}/{figure}']) == 2
    still = [k for k, value in final['state_dict'].items() if value.equal(start[k])]
    assert still == []
    classes = {
        name: len(final['state_dict'][f'decode_heads.{name}.conv_seg.weight'])
        for name in TOY
    }
    assert classes == dict(scenes=6, cover=3, raster=4)


@pytest.mark.parametrize(('stop', 'saved', 'workers'), [(5, 4, (0, 2)), (9, 8, (2, 0))])
def test_resume_to_the_bit(data, uninterrupted, tmp_path, stop, saved, workers):
    before, after = (
        toy_config(data, train_dataloader__num_workers=count) for count in workers
    )
    with pytest.raises(Interrupted):
        train(before, tmp_path, hooks=[StopHook(stop)])
    assert last_checkpoint(tmp_path)['meta']['iter'] == saved
    train(after, tmp_path, resume=True)
    assert checkpoint_differences(uninterrupted[1], last_checkpoint(tmp_path)) == []


def test_resume_with_data_sets_in_another_order_is_refused(
    data, uninterrupted, tmp_path
):
    names = list(reversed(TOY))
    cfg = toy_config(data, names=names)
    cfg.load_from = (uninterrupted[0] / 'last_checkpoint').read_text()
    with pytest.raises(ValueError, match=r"'scenes': 6, .*is now {'raster': 6, "):
        train(cfg, tmp_path, resume=True)


# -- the commands ---------------------------------------------------------------------
@pytest.fixture(scope='module')
def commanded(uninterrupted, tmp_path_factory):
    """A training that is killed after its first checkpoint and goes on; its test."""
    folder = tmp_path_factory.mktemp('commands')
    config, run = uninterrupted[0] / 'toy.py', folder / 'run'
    with start_tool('train.py', config, '--work-dir', run) as child:
        until = time.time() + 240
        while not (run / 'last_checkpoint').exists() and time.time() < until:
            assert child.poll() is None, child.stdout.read()[-3000:]
            time.sleep(0.005)
        child.kill()
    killed_at = last_checkpoint(run)['meta']['iter']
    # As a user may: with what the killed run wrote down about itself.
    said = run_tool('train.py', run / 'toy.py', '--work-dir', run, '--resume')
    checkpoint = (run / 'last_checkpoint').read_text()
    tested = run_tool(
        *('test.py', config, checkpoint, '--work-dir', folder / 'test'),
        *('--out', folder / 'masks', '--show-dir', folder / 'pictures'),
    )
    return folder, checkpoint, said, tested, killed_at


def test_killed_command_trains_the_same_model(uninterrupted, commanded):
    folder, _, said, _, killed_at = commanded
    assert 4 <= killed_at < 12
    assert (
        checkpoint_differences(uninterrupted[1], last_checkpoint(folder / 'run')) == []
    )
    for name in TOY:
        assert f'{name}.loss_ce: ' in said
        assert f'{name}, per class, in %' in said


def test_command_tests_to_the_figures_of_the_training(commanded):
    _, _, said, tested, _ = commanded
    want = figures(said)
    assert set(want) == {'average', *(f'{n}/{f}' for n in TOY for f in FIGURES)}
    assert figures(tested) == want
    assert len(set(want.values())) > 6


def test_masks_and_pictures_of_every_data_set(data, commanded):
    folder, *_ = commanded
    for name, own in TOY.items():
        masks = sorted((folder / 'masks' / name).iterdir())
        truth = sorted((data / name / 'ann_dir' / 'val').iterdir())
        assert [path.stem for path in masks] == [path.stem for path in truth]
        for path in masks:
            mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert mask.shape == (48, 48)
            assert mask.max() < own['classes']
    pictures = Counter(
        path.name.split('_')[0] for path in (folder / 'pictures').iterdir()
    )
    assert pictures == dict.fromkeys(TOY, 3)


def test_test_time_augmentation(uninterrupted, commanded, tmp_path):
    _, checkpoint, said, *_ = commanded
    config = uninterrupted[0] / 'toy.py'
    tested = figures(
        call_tool('test.py', config, checkpoint, '--work-dir', tmp_path, '--tta')
    )
    plain = figures(said)
    assert tested.keys() == plain.keys()
    for name in TOY:
        assert 0 < abs(tested[f'{name}/OA'] - plain[f'{name}/OA']) < 20


# -- processes ------------------------------------------------------------------------
# Dropout and drop path draw for the batch that a process holds; without them the
# trainings must be equal.  SGD does not blow rounding up as Adam's first steps do.
SAME = dict(
    model__backbone__drop_path_rate=0.0,
    model__decode_head__dropout_ratio=0.0,
    optim_wrapper__type='OptimWrapper',
    optim_wrapper__optimizer=dict(_delete_=True, type='SGD', lr=0.01, momentum=0.9),
    train_cfg__max_iters=6,
    train_cfg__val_interval=6,
    default_hooks__checkpoint__interval=6,
)
# One data set never takes part.  AdamW moves all that has a gradient, and weight decay
# all that is there.
ABSENT = dict(
    model__datasets__cover__start_iter=100,
    optim_wrapper__optimizer__weight_decay=0.1,
    train_cfg__max_iters=4,
    train_cfg__val_interval=4,
    default_hooks__checkpoint__interval=4,
)


def _train(rank, world, data, work_dir, changes):
    if world > 1:
        changes = dict(changes, launcher='pytorch', env_cfg__dist_cfg__backend='gloo')
    cfg = toy_config(data, per_set=4 // world, **changes)
    if cfg.optim_wrapper.type == 'OptimWrapper':
        del cfg.optim_wrapper.dtype
    start = InitialWeightsHook()
    runner = train(cfg, work_dir, hooks=[start])
    return type(runner.model).__name__, start.state


def _both(data, folder, changes):
    """The run of one process, and that of two."""
    for name in ('alone', 'both'):
        (folder / name).mkdir()
    found = [_train(0, 1, data, folder / 'alone', changes)]
    found += run_ranks(_train, 2, folder, data, folder / 'both', changes)
    kinds = ['MultiDatasetSegmentor', *['MMDistributedDataParallel'] * 2]
    assert [kind for kind, _ in found] == kinds
    starts = [state for _, state in found]
    assert (
        checkpoint_differences(starts[0], starts[1])
        == checkpoint_differences(starts[0], starts[2])
        == []
    )
    return starts[0], *(last_checkpoint(folder / name) for name in ('alone', 'both'))


def _close(first, second):
    """Compare losses, figures and weights of two runs."""
    for name, history in first['message_hub']['log_scalars'].items():
        if 'time' in name:
            continue
        want = np.array(history.data[0], dtype=float)
        got = np.array(second['message_hub']['log_scalars'][name].data[0], dtype=float)
        # Validation figures are rounded to 0.01 and jump by a pixel.
        atol = 0.02 if name.startswith('val/') else 0
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=atol, err_msg=name)
    for name, value in first['state_dict'].items():
        torch.testing.assert_close(
            second['state_dict'][name], value, rtol=1e-4, atol=1e-5, msg=name
        )


def test_two_processes_train_as_one(data, tmp_path):
    _, alone, both = _both(data, tmp_path, SAME)
    for name in TOY:
        scalars = both['message_hub']['log_scalars']
        assert len(scalars[f'train/{name}.loss_ce'].data[0]) == 6
    _close(alone, both)


def test_data_set_that_never_starts_is_left_alone(data, tmp_path):
    start, *ends = _both(data, tmp_path, ABSENT)
    assert sum(_own(key, 'cover') for key in start) > 50
    for final in ends:
        scalars = final['message_hub']['log_scalars']
        assert 'train/cover.loss_ce' not in scalars
        assert len(scalars['train/raster.loss_ce'].data[0]) == 4
        assert scalars['val/cover/OA'].data[0], 'it is judged all the same'
        same = {k for k, value in start.items() if value.equal(final['state_dict'][k])}
        assert same == {key for key in start if _own(key, 'cover')}


# -- host synchronisations ------------------------------------------------------------
@pytest.mark.parametrize('hook', ['s5_mm.DeferredRuntimeInfoHook', 'RuntimeInfoHook'])
def test_host_synchronisations_between_log_points(data, tmp_path, monkeypatch, hook):
    """Ours has none; the host's hook reads every logged value: the counter counts."""
    # Iterations 3-5 hold no log, checkpoint or validation.
    counts = count_host_syncs(monkeypatch, 2, 5)
    cfg = toy_config(
        data,
        default_hooks__runtime_info__type=hook,
        default_hooks__logger__interval=6,
        default_hooks__checkpoint__interval=6,
        train_cfg__max_iters=6,
        model__datasets__cover__start_iter=4,  # absent, then present
    )
    train(cfg, tmp_path)
    if hook.startswith('s5_mm'):
        assert not counts
    else:
        assert counts['item'] >= 3 * 3
