"""Evaluations say how far they are."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config

from s5_mm.engine.hooks import EvalProgressHook, eval_progress_hook
from s5_mm.registry import HOOKS


@pytest.mark.parametrize('mode', ['val', 'test'])
def test_a_line_every_ten_seconds(monkeypatch, mode):
    now, lines = [1000.0], []
    monkeypatch.setattr(eval_progress_hook.time, 'monotonic', lambda: now[0])
    runner = SimpleNamespace(
        val_dataloader=range(100),
        test_dataloader=range(100),
        logger=SimpleNamespace(info=lines.append),
    )
    hook = HOOKS.build(dict(type='s5_mm.EvalProgressHook'))
    for _ in range(2):
        getattr(hook, f'before_{mode}_epoch')(runner)
        for number in range(8):
            now[0] += 3
            getattr(hook, f'after_{mode}_iter')(runner, number, None, None)
    assert lines == 2 * [
        f'Iter({mode}) [  4/100]    eta: 0:04:48',
        f'Iter({mode}) [  8/100]    eta: 0:04:36',
    ]


def test_wrong_interval():
    with pytest.raises(ValueError, match='every=-1, expected at least 0'):
        EvalProgressHook(every=-1)


def test_it_is_in_every_run():
    from pathlib import Path

    path = Path(__file__).parents[2] / 'configs/_base_/default_runtime.py'
    hooks = Config.fromfile(path).default_hooks
    assert hooks.eval_progress == dict(type='s5_mm.EvalProgressHook')
