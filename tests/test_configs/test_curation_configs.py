"""The configs of scoring are short, and score with what the training configs train."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

from s5_mm.cli.config import load_config
from s5_mm.registry import HOOKS, MODELS

from ..support.package_configs import package_configs

ROOT = Path(__file__).parents[2] / 'configs'
TRAINED_BY = {
    'score_eff-lite0_hrsc.py': 's4p/eff-lite0_hrsc_supervised.py',
    'score_vit-b.py': 's4p/vit-b_isaid_supervised.py',
    'score_vit-h.py': 's4p/vit-h_isaid_supervised.py',
    'score_vit-t_dubai.py': 's4p/vit-t_dubai_supervised.py',
}


def test_all_are_there() -> None:
    found = {
        path.name for path in package_configs() if path.match('curation/score_*.py')
    }
    assert found == set(TRAINED_BY)


@pytest.mark.parametrize('leaf', TRAINED_BY)
def test_scorer_takes_the_weights_of_the_training(leaf) -> None:
    cfg = load_config(str(ROOT / 'curation' / leaf))
    trained = load_config(str(ROOT / TRAINED_BY[leaf]))
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        model, source = MODELS.build(cfg.model), MODELS.build(trained.model)
    own, given = model.state_dict(), source.state_dict()
    assert {k: v.shape for k, v in own.items()} == {
        k: v.shape for k, v in given.items()
    }
    for key in ('mean', 'std'):
        mine = cfg.model.data_preprocessor[key]
        assert mine == trained.model.data_preprocessor[key]
    classes = tuple(cfg.test_dataloader.dataset.metainfo.classes)
    assert classes == tuple(trained.metainfo.classes)
    if cfg.model.background is None:
        assert 'background' not in classes
    else:
        assert classes[cfg.model.background] == 'background'
    size = cfg.test_dataloader.dataset.size
    if 'img_size' in cfg.model.segmentor.backbone:  # others see any size alike
        assert (size, size) == tuple(trained.crop_size)


@pytest.mark.parametrize('leaf', TRAINED_BY)
def test_hooks_build(leaf) -> None:
    cfg = load_config(str(ROOT / 'curation' / leaf))
    init_default_scope(cfg.default_scope)
    hooks = [HOOKS.build(hook) for hook in cfg.default_hooks.values()]
    assert 'PatchScoringHook' in [type(hook).__name__ for hook in hooks]
    assert not cfg.env_cfg.cudnn_benchmark
