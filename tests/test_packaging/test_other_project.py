"""Configs of the installed wheel as bases in an unrelated OpenMMLab project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import s5_mm
from s5_mm.testing import write_dataset

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# A project's own command: plain mmengine, nothing of s5_mm is imported.
TRAIN = """\
import sys

from mmengine.config import Config
from mmengine.runner import Runner

cfg = Config.fromfile(sys.argv[1])
cfg.work_dir = sys.argv[2]
print(cfg.text)
Runner.from_cfg(cfg).train()
"""
# The first line is README's, with the config of the demo.
CONFIG = """\
_base_ = __import__('s5_mm').config_path('demo/supervised.py')
labelled = _base_.labelled
labelled.data_root = 'data'
labelled.ann_file = 'some.txt'
# Training starts at random: this environment may lack the weights.
model = dict(segmentor=dict(backbone=dict(init_cfg=None)))
train_dataloader = dict(
    batch_size=2,
    sampler=dict(shares=[2]),
    dataset=dict(sources=dict(sup=labelled)),
)
val_dataloader = dict(dataset=dict(data_root='data', ann_file='some.txt'))
train_cfg = dict(max_iters=1, val_interval=1)
"""


def test_a_config_of_the_wheel_is_a_base_in_another_project(built_wheel, tmp_path):
    site, project = tmp_path / 'site', tmp_path / 'project'
    command = [sys.executable, '-m', 'pip', 'install', '--no-deps', '--no-index', '-q']
    command += ['--no-compile', '--target', str(site), str(built_wheel)]
    subprocess.run(command, check=True, capture_output=True)
    (project / 'tools').mkdir(parents=True)
    (project / 'tools/train.py').write_text(TRAIN)
    (project / 'mine.py').write_text(CONFIG)
    write_dataset(project / 'data', 2, 0, 1, 96)
    name = 'img_dir/train/000000.png\tann_dir/train/000000.png\n'
    (project / 'data/some.txt').write_text(name)
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', 'tools/train.py', 'mine.py', 'out'],
        env={'PYTHONPATH': str(site), 'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path)},
        cwd=project,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (project / 'out/iter_1.pth').is_file()
    (scalars,) = (project / 'out').glob('*/vis_data/scalars.json')
    assert 'mIoU' in json.loads(scalars.read_text().splitlines()[-1])
    # Each file of the config stands before its text: the wheel's, and its own bases.
    configs = site / 's5_mm/.mim/configs'
    for name in ('demo/supervised.py', 'demo/fixmatch.py', '_base_/default_runtime.py'):
        assert any(
            Path(line).resolve() == configs / name for line in done.stdout.splitlines()
        ), name


def test_path_of_a_config():
    path = s5_mm.config_path('s4p/vit-l_rs4p1m.py')
    assert Path(path).is_absolute()
    assert Path(path).resolve() == CONFIGS / 's4p/vit-l_rs4p1m.py'


def test_a_name_that_is_no_config_is_answered_with_those_near_it():
    with pytest.raises(FileNotFoundError) as caught:
        s5_mm.config_path('s4p/vit_l_rs4p1m.py')
    text = str(caught.value)
    assert "configs has no config 's4p/vit_l_rs4p1m.py'; near it are s4p/vit-" in text
    assert 's4p/vit-l_rs4p1m.py' in text
    assert '\n' not in text
    with pytest.raises(FileNotFoundError, match=r'it has \d+ others'):
        s5_mm.config_path('#')
