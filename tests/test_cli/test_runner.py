"""The screen gets what matters, the log file all."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from torch.utils.data import TensorDataset

from s5_mm.cli.runner import CommandRunner
from s5_mm.utils.ordered_config import OrderedConfig


@MODELS.register_module()
class ScreenToy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, *inputs, mode='tensor'):
        return dict(loss=self.layer(inputs[0]).sum())


@DATASETS.register_module()
def ScreenData():  # noqa: N802
    return TensorDataset(torch.zeros(6, 2))


@pytest.fixture
def run(tmp_path, capsys):
    before = set(MMLogger._instance_dict)

    def build(**settings):
        cfg = OrderedConfig(
            dict(
                model=dict(type='ScreenToy'),
                work_dir=str(tmp_path / 'run'),
                train_dataloader=dict(
                    batch_size=3,
                    dataset=dict(type='ScreenData'),
                    sampler=dict(type='DefaultSampler'),
                ),
                train_cfg=dict(type='IterBasedTrainLoop', max_iters=2),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
                randomness=dict(seed=5),
                log_processor=dict(by_epoch=False),
                default_scope='mmengine',
                **settings,
            )
        )
        capsys.readouterr()
        return CommandRunner.from_cfg(cfg)

    yield build
    for name in set(MMLogger._instance_dict) - before:
        for handler in MMLogger._instance_dict.pop(name).handlers:
            if isinstance(handler, logging.FileHandler):
                handler.close()


def test_screen_and_log_file(run, tmp_path, capsys):
    runner = run()
    assert capsys.readouterr() == ('', '')
    runner.announce('train')
    (log,) = (tmp_path / 'run').glob('*/*.log')
    lines = capsys.readouterr().out.splitlines()
    assert lines[-5].endswith('train None')
    assert lines[-4:] == [
        '  model ScreenToy, 0.00 M parameters, on cpu, 1 process',
        '  data 6 images, batches of 3; 2 iterations, seed 5',
        f'  results in {tmp_path / "run"}',
        f'  log {log} (environment, config and all that follows)',
    ]
    runner.logger.warning('careful')
    runner.logger.info('ordinary')
    assert 'careful' in capsys.readouterr().out
    text = log.read_text()
    for part in ('System environment', 'Config:\n', 'Hooks will be', 'careful'):
        assert part in text, part
    assert 'model ScreenToy' in text


def test_all_is_on_the_screen_when_debugging(run, capsys):
    run(log_level='DEBUG')
    assert 'System environment' in capsys.readouterr().out


def test_debug_messages_of_the_hosts_stay_off_the_screen(capsys):
    # As mmseg does where OneDL is missing.
    from mmengine.logging import print_log

    import s5_mm.cli  # noqa: F401

    print_log('Could not import OneDL', level=logging.DEBUG)
    print_log('something else')
    assert capsys.readouterr().out == 'something else\n'
