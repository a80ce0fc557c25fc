"""The grids of the lab: every arm builds, and differs from the recipe as it says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from s5_mm.cli.config_text import differences
from s5_mm.lab import identity, read_grid
from s5_mm.models import FixMatch
from s5_mm.registry import MODELS

from ..support.package_configs import package_configs

ROOT = Path(__file__).parents[2] / 'configs'
GRIDS = sorted(
    path
    for path in package_configs()
    if path.parent == ROOT / 'lab' and path.stem not in ('selection', 'demo')
)
#: Settings of the model that an arm removes from the recipe.
REMOVED = {
    'no_burn_in': {'semi_train_cfg.burn_in'},
    'no_ramp': {'semi_train_cfg.ramp'},
    'no_ema': {'semi_train_cfg.ema_momentum'},
    'copied_statistics': {'semi_train_cfg.ema_buffers'},
    'with_cutmix': {'data_preprocessor.cutmix.prob'},
    'hard_labels': {'semi_train_cfg.soft_targets'},
    'top_share': {
        'semi_train_cfg.threshold.type',
        'semi_train_cfg.threshold.share',
        'semi_train_cfg.soft_targets',
    },
    'threshold_95': {
        'semi_train_cfg.conf_thresh',
        'semi_train_cfg.threshold',
        'semi_train_cfg.soft_targets',
    },
    'any_image': set(),
    'no_freezing': {'segmentor.backbone.frozen_stages'},
    'own_images_only': set(),
}


@pytest.fixture(scope='module')
def configs() -> dict[str, dict[tuple[str, int], Config]]:
    """Configs of the runs of two seeds, by grid."""
    found = {}
    for path in GRIDS:
        grid = read_grid(path)
        grid = grid.restrict([], [grid.seeds[1], grid.seeds[-1]])
        found[path.stem] = {run: grid.config(*run, '/data') for run in grid.runs()}
    return found


def test_grids_are_there() -> None:
    names = {path.stem for path in GRIDS}
    assert names == {
        *('harbours_5', 'harbours_10', 'harbours_20'),
        *('dubai_1-8', 'dubai_1-4', 'korea_3'),
        *('harbours_5_dev', 'dubai_1-8_dev', 'korea_3_dev'),
    }
    for path in GRIDS:
        grid = read_grid(path)
        harbours = path.stem.startswith('harbours')
        seeds = range(10 if harbours else 5)
        if path.stem.endswith('_dev'):
            seeds = range(10, 18 if harbours else 14)
        assert ([*grid.seeds], grid.baseline) == ([*seeds], 'labels_only')
        assert {'paper', 'recipe', *REMOVED} - grid.arms.keys() <= {'own_images_only'}


@pytest.mark.parametrize('name', [path.stem for path in GRIDS])
def test_runs_can_be_paired(name, configs) -> None:
    """Seeds have splits of their own; arms share images, test images and length."""
    size = name.removesuffix('_dev').rpartition('_')[2]
    for (arm, seed), cfg in configs[name].items():
        found = identity(cfg)
        assert found['seed'] == seed
        assert ('_dev/' in found['split']) == name.endswith('_dev')
        assert ('_dev/' in cfg.val_dataloader.dataset.ann_file) == name.endswith('_dev')
        sampling = cfg.train_dataloader.sampler.sampling
        assert (sampling is None) == arm.endswith('any_image')
        assert f'seed{seed}/labelled_{size}.txt' in found['split']
        assert Path(cfg.train_dataloader.dataset.sources.sup.ann_file).is_file()
        first = identity(next(iter(configs[name].values())))
        assert found['test_set'] == first['test_set']
        length = 800 if arm.endswith('_800') else first['max_iters']
        assert found['max_iters'] == length
        assert cfg.default_hooks.checkpoint.save_best is None


@pytest.mark.parametrize('name', [path.stem for path in GRIDS])
def test_arms_differ_from_the_recipe_in_one_part(name, configs) -> None:
    last = (4, 9, 13, 17)
    runs = {arm: cfg for (arm, seed), cfg in configs[name].items() if seed in last}
    recipe = runs['recipe'].model.to_dict()
    for arm, keys in REMOVED.items():
        if arm in runs:
            assert set(differences(recipe, runs[arm].model.to_dict())) == keys, arm
    # The defaults of FixMatch are the paper's, whatever the recipe gets.
    paper = runs['paper'].model.semi_train_cfg.to_dict()
    assert {**FixMatch.TRAIN_DEFAULTS, **paper} == FixMatch.TRAIN_DEFAULTS
    assert runs['paper'].model.data_preprocessor.cutmix.prob == 0.5
    for arm, cfg in runs.items():
        supervised = cfg.model.type == 's5_mm.SemiBaseSegmentor'
        assert supervised == arm.startswith('labels_only')
        random = cfg.model.segmentor.backbone.init_cfg is None
        assert random == arm.endswith('_random')
        if not supervised:
            sources = cfg.train_dataloader.dataset.sources
            own = arm == 'own_images_only'
            files = {Path(sources[k].ann_file).resolve() for k in ('sup', 'unsup')}
            assert (len(files) == 1) == own


@pytest.mark.parametrize('name', [path.stem for path in GRIDS])
def test_models_build(name, configs) -> None:
    pytest.importorskip('timm')
    for (_, seed), cfg in configs[name].items():
        if seed in (1, 11):
            init_default_scope(cfg.default_scope)
            with torch.device('meta'):
                MODELS.build(cfg.model)


def test_development_never_sees_test_images() -> None:
    for data in ('hrsc_ships', 'dubai', 'korea_s2'):
        splits = ROOT / '_base_/splits'
        test = set((splits / data / 'test.txt').read_text().splitlines())
        development = splits / f'{data}_dev'
        assert len(test) > 4
        for path in development.rglob('*.txt'):
            lines = path.read_text().splitlines()
            images = {line.split('\t')[0] for line in lines}
            assert not images & {line.split('\t')[0] for line in test}, path
        held_out = set((development / 'test.txt').read_text().splitlines())
        train = set((development / 'train.txt').read_text().splitlines())
        assert held_out
        assert not held_out & train


def test_selections_replace_the_unlabelled_images() -> None:
    grid = read_grid(ROOT / 'lab/selection.py')
    strategies = ['s5', 'random', 'entropy_only', 'diversity_only']
    assert list(grid.arms) == ['labels_only', *strategies, 'harbours']
    for name in strategies:
        sources = grid.config(name, 2, '/pool').train_dataloader.dataset.sources
        assert sources.unsup.shards == f'/pool/selected/{name}_2/shards'
        assert sources.unsup.ann_file is None
        assert sources.sup.ann_file.endswith('seed2/labelled_5.txt')
    other = grid.config('harbours', 2, '/pool').train_dataloader.dataset.sources
    assert other.unsup.ann_file.endswith('seed2/unlabelled_5.txt')
