"""Oriented detectors learn what they see, resume, and are tested by the command."""

import os
import re
import subprocess
import sys
import uuid
import zipfile
from pathlib import Path

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')

import torch  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

from s5_mm.ops import is_compiled  # noqa: E402

from ..support.mmcv_ops import environment_without  # noqa: E402
from ..support.warm_python import warm_python  # noqa: E402
from .boxes import config, draw  # noqa: E402

ROOT = Path(__file__).parents[2]


def _runner(cfg):
    cfg.experiment_name = uuid.uuid4().hex
    return Runner.from_cfg(cfg)


def test_eight_images_are_learnt_by_heart(tmp_path):
    """AP at IoU 0.5 of at least 0.9, under both rules, on the images it was shown."""
    roots = dict(drawn=draw(tmp_path / 'data', 8))
    cfg = config(roots, tmp_path / 'run', 640)
    cfg.default_hooks.checkpoint.interval = 640
    runner = _runner(cfg)
    runner.train()
    figures = runner.val()
    assert figures['drawn/AP07'] >= 90
    assert figures['drawn/AP12'] >= 90


@pytest.fixture(scope='module')
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp('two')
    return {name: draw(folder / name, 4, seed) for seed, name in enumerate('ab')}


def _weights(path):
    return torch.load(path, weights_only=False)['state_dict']


def test_two_data_sets_resume_to_the_bit(two, tmp_path):
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    _runner(config(two, whole, 4, moe=True)).train()
    first = config(two, parts, 4, moe=True)
    first.train_cfg.max_iters = 2
    first.param_scheduler[1].end = 4
    _runner(first).train()
    rest = config(two, parts, 4, moe=True, resume=True)
    _runner(rest).train()
    expected, found = _weights(whole / 'iter_4.pth'), _weights(parts / 'iter_4.pth')
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


def _run(*command, env=None):
    """Run a command; only a new interpreter sees other modules than this one."""
    done = subprocess.run(
        [sys.executable if env else warm_python(), '-W', 'ignore', *map(str, command)],
        cwd=ROOT,
        env={**(env or os.environ), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_commands_train_test_draw_write_and_fold(two, tmp_path):
    """tools/train.py, test.py --show-dir --out --tta, and each data set's own model."""
    cfg = config(two, tmp_path / 'run', 2, moe=True)
    cfg.dump(tmp_path / 'two.py')
    code, text = _run('tools/train.py', tmp_path / 'two.py')
    assert code == 0, text[-3000:]
    checkpoint = tmp_path / 'run/iter_2.pth'
    shown, out = tmp_path / 'shown', tmp_path / 'out'
    code, text = _run(
        'tools/test.py', tmp_path / 'two.py', checkpoint, '--show-dir', shown,
        '--out', out, '--tta',
    )  # fmt: skip
    assert code == 0, text[-3000:]
    for name in 'ab':
        for figure in ('AP07', 'AP12', 'AP12_75'):
            assert re.search(rf'{name}/{figure}: [\d.]+', text), figure
        (archive,) = (out / name).rglob('*.zip')
        listed = zipfile.ZipFile(archive).namelist()
        assert sorted(listed) == ['Task1_blue.txt', 'Task1_red.txt']
    assert len(list(shown.rglob('*.png'))) == 8
    assert 'The `clip` function does nothing' not in text

    folded = tmp_path / 'folded'
    code, text = _run(
        'tools/model_converters/fold_experts.py',
        tmp_path / 'two.py',
        checkpoint,
        folded,
    )
    assert code == 0, text[-3000:]
    code, text = _run('tools/test.py', folded / 'b.py', folded / 'b.pth')
    assert code == 0, text[-3000:]
    assert re.search(r'b/AP07: [\d.]+', text)


def test_without_compiled_operators_it_trains_and_merges_views_too(two, tmp_path):
    """The same losses as with them, where they are."""
    cfg = config(two, tmp_path / 'run', 2)
    cfg.default_hooks.logger.interval = 1
    cfg.dump(tmp_path / 'two.py')
    env = environment_without(tmp_path)
    code, text = _run('tools/train.py', tmp_path / 'two.py', env=env)
    assert code == 0, text[-3000:]
    checkpoint = tmp_path / 'run/iter_2.pth'
    code, tested = _run(
        'tools/test.py', tmp_path / 'two.py', checkpoint, '--tta', env=env
    )
    assert code == 0, tested[-3000:]
    assert re.search(r'b/AP12: [\d.]+', tested)
    if is_compiled():
        code, other = _run('tools/train.py', tmp_path / 'two.py')
        assert code == 0, other[-3000:]
        losses, others = (re.findall(r' loss: ([\d.]+)', out) for out in (text, other))
        assert len(losses) == 2
        assert losses == others
