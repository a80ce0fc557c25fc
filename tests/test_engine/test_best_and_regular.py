"""Regular and best checkpoints are counted apart; neither is ever non-finite."""

import math
import shutil

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub

from s5_mm.checkpoints import load_data_only
from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint
from s5_mm.engine.hooks.finite_weights import non_finite_names

from .toy import Interrupted, ToyMetric, ToyStopHook, toy_runner

CHANGES = dict(
    train_cfg__max_iters=40,
    train_cfg__val_interval=2,
    default_hooks__checkpoint__interval=10,
)


def _names(work_dir):
    return sorted(path.name for path in work_dir.glob('*.pth'))


@pytest.fixture
def rising(monkeypatch):
    """Let every validation be the best so far."""

    def compute_metrics(self, results):
        return dict(mIoU=float(MessageHub.get_current_instance().get_info('iter')))

    monkeypatch.setattr(ToyMetric, 'compute_metrics', compute_metrics)


@pytest.mark.parametrize(
    ('keep', 'regular'), [(-1, (10, 20, 30, 40)), (3, (20, 30, 40)), (1, (40,))]
)
def test_a_best_takes_no_place_of_a_regular_one(tmp_path, rising, keep, regular):
    toy_runner(
        tmp_path, default_hooks__checkpoint__max_keep_ckpts=keep, **CHANGES
    ).train()
    assert _names(tmp_path) == [
        'best_mIoU_iter_40.pth',
        *(f'iter_{step}.pth' for step in regular),
    ]
    final = last_checkpoint(tmp_path)
    assert final['meta']['iter'] == 40
    best = final['message_hub']['runtime_info']['best_ckpt']
    assert best == str(tmp_path / 'best_mIoU_iter_40.pth')


def test_the_best_that_a_checkpoint_knows_stays_until_the_next(tmp_path, rising):
    toy_runner(tmp_path / 'whole', **CHANGES).train()
    killed = tmp_path / 'killed'
    for stop in (13, 27, 37):
        runner = toy_runner(killed, resume=stop > 13, **CHANGES)
        runner.register_hook(ToyStopHook(stop))
        with pytest.raises(Interrupted):
            runner.train()
        known, last = stop // 10 * 10, (stop - 1) // 2 * 2
        best = [name for name in _names(killed) if name.startswith('best')]
        assert best == [f'best_mIoU_iter_{step}.pth' for step in (known, last)]
    toy_runner(killed, resume=True, **CHANGES).train()
    assert _names(killed) == _names(tmp_path / 'whole')
    whole, resumed = last_checkpoint(tmp_path / 'whole'), last_checkpoint(killed)
    assert checkpoint_differences(whole, resumed) == []


def test_several_best_ones(tmp_path, monkeypatch):
    def compute_metrics(self, results):
        step = MessageHub.get_current_instance().get_info('iter')
        return dict(mIoU=-abs(step - 20.0), mAcc=step / 1.0)

    monkeypatch.setattr(ToyMetric, 'compute_metrics', compute_metrics)
    toy_runner(
        tmp_path, default_hooks__checkpoint__save_best=['mIoU', 'mAcc'], **CHANGES
    ).train()
    found = [name for name in _names(tmp_path) if name.startswith('best')]
    hub = last_checkpoint(tmp_path)['message_hub']['runtime_info']
    listed = [hub[f'best_ckpt_{key}'] for key in ('mAcc', 'mIoU')]
    assert [str(tmp_path / name) for name in found] == listed
    assert found[0] == 'best_mAcc_iter_40.pth'


def test_a_copied_run_leaves_the_files_of_the_original_alone(tmp_path, rising):
    first, copied = tmp_path / 'first', tmp_path / 'copied'
    toy_runner(first, **dict(CHANGES, train_cfg__max_iters=20)).train()
    before = _names(first)
    shutil.copytree(first, copied)
    toy_runner(
        copied, resume=True, load_from=str(copied / 'iter_20.pth'), **CHANGES
    ).train()
    assert _names(first) == before


def test_a_checkpoint_names_no_other_files_to_remove(tmp_path):
    toy_runner(tmp_path, train_cfg__max_iters=4).train()
    path = tmp_path / 'iter_4.pth'
    content = torch.load(path, weights_only=True)
    listed = ['precious.pth', '../best_outside.pth', 'best_old.pth']
    content['message_hub']['runtime_info']['outdated_best_ckpts'] = listed
    torch.save(content, path)
    outside = tmp_path.parent / 'best_outside.pth'
    for file in (tmp_path / 'precious.pth', outside, tmp_path / 'best_old.pth'):
        file.write_bytes(b'')
    toy_runner(tmp_path, resume=True, train_cfg__max_iters=8).train()
    assert (tmp_path / 'precious.pth').exists()
    assert outside.exists()
    assert not (tmp_path / 'best_old.pth').exists()


# -- what is not finite ---------------------------------------------------------------
@pytest.mark.parametrize('score', [math.nan, math.inf])
def test_a_score_that_is_no_number_is_never_the_best(
    tmp_path, monkeypatch, caplog, score
):
    scores = iter([1.0, score, 0.5, 2.0])
    monkeypatch.setattr(
        ToyMetric, 'compute_metrics', lambda self, results: dict(mIoU=next(scores))
    )
    runner = toy_runner(tmp_path, train_cfg__val_interval=4, train_cfg__max_iters=12)
    runner.logger.addHandler(caplog.handler)
    runner.train()
    assert 'best_mIoU_iter_4.pth' in _names(tmp_path)
    assert last_checkpoint(tmp_path)['message_hub']['runtime_info']['best_score'] == 1.0
    assert f'mIoU is {score}: no best checkpoint' in caplog.text


class _Spoil(Hook):
    """Make a weight NaN after an iteration."""

    def __init__(self, iteration, name):
        self.iteration, self.name = iteration, name

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iteration:
            runner.model.state_dict()[self.name].view(-1)[0] = math.nan


@pytest.mark.parametrize('name', ['head.weight', 'norm.running_var'])
@pytest.mark.parametrize(
    ('iteration', 'kept'), [(3, None), (6, 4), (7, 4), (12, 8)]
)  # 6 and 12 are validated, 12 is saved
def test_weights_that_are_not_finite_replace_nothing(tmp_path, name, iteration, kept):
    runner = toy_runner(tmp_path)
    runner.register_hook(_Spoil(iteration, name), priority='HIGH')
    with pytest.raises(FloatingPointError) as caught:
        runner.train()
    text = str(caught.value)
    assert '\n' not in text
    # Where another iteration comes first, the weight has spoilt others.
    named = name if iteration % 6 == 0 or 'running' in name else 'conv.weight'
    assert f'tensors of the model are not finite, {named} for one' in text
    if kept is None:
        assert 'No checkpoint was saved before' in text
        assert _names(tmp_path) == []
        return
    assert f'is kept: {tmp_path / f"iter_{kept}.pth"}' in text
    assert last_checkpoint(tmp_path)['meta']['iter'] == kept
    for file in _names(tmp_path):
        state = load_data_only(tmp_path / file)['state_dict']
        assert all(value.isfinite().all() for value in state.values())


def test_a_mask_of_infinities_is_no_fault(tmp_path):
    runner = toy_runner(tmp_path, train_cfg__max_iters=4)
    runner.model.register_buffer('mask', torch.full((2, 2), -math.inf))
    runner.train()
    assert 'iter_4.pth' in _names(tmp_path)


def test_names_of_what_is_not_finite():
    tensors = dict(
        good=torch.ones(3),
        huge=torch.full((8,), 1e38),  # whose sum overflows
        half=torch.full((64,), 6e4, dtype=torch.float16),
        counts=torch.ones(2, dtype=torch.int64),
        both=torch.tensor([math.inf, -math.inf]),
        one=torch.tensor([1.0, math.nan]),
        complex=torch.tensor([complex(0, math.inf)]),
    )
    assert non_finite_names(tensors) == ['both', 'one', 'complex']
    assert non_finite_names({}) == []
