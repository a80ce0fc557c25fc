"""What the host does with the meta information of a checkpoint that is resumed."""

import numpy as np
import pytest
import torch

from .toy import toy_runner

CLASSES = ('field', 'road')


def _metainfo():
    """Names that are one object in two places, as those of several sources are."""
    sources = dict(sup=dict(classes=CLASSES), unsup=dict(classes=CLASSES))
    palette = np.arange(6, dtype=np.uint8).reshape(2, 3)
    return dict(classes=CLASSES, palette=palette, datasets=sources)


def _train(work_dir, metainfo, resume=False, caplog=None, iters=4):
    runner = toy_runner(work_dir, resume=resume, train_cfg__max_iters=iters)
    runner.train_dataloader.dataset.metainfo = metainfo
    if caplog is not None:
        runner.logger.addHandler(caplog.handler)
    runner.train()
    return runner


def test_no_warning_where_nothing_changed(tmp_path, caplog):
    _train(tmp_path, _metainfo())
    _train(tmp_path, _metainfo(), resume=True, caplog=caplog, iters=8)
    assert 'Resumed at iteration 4' in caplog.text
    assert 'metainfo' not in caplog.text


@pytest.mark.parametrize(
    'change',
    [
        dict(classes=('field', 'water')),
        dict(palette=np.zeros((2, 3), np.uint8)),
        dict(datasets={}),
    ],
)
def test_a_change_is_still_warned_of(tmp_path, caplog, change):
    _train(tmp_path, _metainfo())
    _train(tmp_path, {**_metainfo(), **change}, resume=True, caplog=caplog, iters=8)
    assert 'metainfo from the resumed checkpoint is different' in caplog.text


def test_no_text_of_a_checkpoint_is_executed(tmp_path):
    """The host runs ``meta.config`` as Python; this one would stop the run."""
    _train(tmp_path, _metainfo())
    path = tmp_path / 'iter_4.pth'
    content = torch.load(path, weights_only=True)
    content['meta']['config'] = 'gpu_ids = [0, 1]'
    torch.save(content, path)
    assert _train(tmp_path, _metainfo(), resume=True, iters=8).iter == 8
