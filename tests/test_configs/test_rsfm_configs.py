"""The models of the paper's Table 1 in this package's configs, with its counts."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from s5_mm.cli.config import load_config
from s5_mm.cli.meta import build_on_meta, count_params
from s5_mm.registry import MODELS

from ..support.package_configs import package_configs

ROOT = Path(__file__).parents[2] / 'configs'
SEG, DET = (
    sorted(path.stem for path in package_configs() if path.parent == ROOT / folder)
    for folder in ('finetune_seg/rsfm', 'finetune_det/rsfm')
)

#: Millions of parameters: the paper's Table 1 (detection, segmentation), and ours.
TABLE_1 = {
    'rvsa-vit-b': (111.2, 103.2, 111.61, 103.59),
    'samrs-vit-b': (None, 103.2, None, 103.59),
    'mtp-vit-l': (334.6, 327.4, 336.42, 329.18),
    'ma3e-vit-b': (111.2, 103.2, 111.18, 103.15),
    'scalemae-vit-l': (334.6, 327.4, 334.66, 327.42),
    'satmaepp-vit-l': (334.6, 327.4, 334.66, 327.42),
    'selectivemae-vit-l': (334.6, 327.4, 334.66, 327.42),
    'gfm-swin-b': (104.1, 96.9, 104.12, 96.88),
    'billionfm-vit-g': (996.9, 990.9, 996.96, 990.90),
    'oreole-vit-g': (996.9, 990.9, 996.96, 990.90),
}
#: What RVSA's windows and positions have beyond a plain ViT, which the paper counts.
RVSA = {'b': 430_912, 'l': 1_759_616}


def test_there_is_every_model_of_table_1():
    assert sorted(f'sdf_{name}_loveda' for name in TABLE_1) == SEG
    wanted = [name for name, row in TABLE_1.items() if row[0] is not None]
    assert sorted(f'orcnn_{name}_diorr' for name in wanted) == DET


def _check(paper, ours, count, name):
    assert round(count / 1e6, 2) == ours
    size = name.rpartition('-')[2]
    extra = RVSA[size] if name.startswith(('rvsa', 'samrs', 'mtp')) else 0
    # One digit is printed, some rounded and some cut.
    assert abs((count - extra) / 1e6 - paper) < 0.1


@pytest.mark.parametrize('name', TABLE_1)
def test_segmentation_parameters(name):
    _, paper, _, ours = TABLE_1[name]
    cfg = load_config(str(ROOT / f'finetune_seg/rsfm/sdf_{name}_loveda.py'))
    _check(paper, ours, count_params(build_on_meta(cfg)), name)


@pytest.mark.parametrize('name', [n for n, row in TABLE_1.items() if row[0]])
def test_detection_parameters(name):
    paper, _, ours, _ = TABLE_1[name]
    cfg = load_config(str(ROOT / f'finetune_det/rsfm/orcnn_{name}_diorr.py'))
    _check(paper, ours, count_params(build_on_meta(cfg)), name)


@pytest.mark.parametrize('task', ['seg', 'det'])
def test_configs_say_only_what_differs(task):
    folder = ROOT / f'finetune_{task}/rsfm'
    for path in (path for path in package_configs() if path.parent == folder):
        lines = path.read_text().splitlines()
        code = [line for line in lines if not line.startswith('#')]
        assert len(code) <= 14, path.name
        cfg, base = Config.fromfile(path), _base(path)
        for key in ('optim_wrapper', 'train_dataloader', 'train_cfg'):
            assert cfg[key] == base[key]
        assert cfg.load_from != base.load_from


def _base(path):
    (line,) = [x for x in path.read_text().splitlines() if x.startswith('_base_')]
    return Config.fromfile(path.parent / line.split("'")[1])


@pytest.mark.parametrize('name', ['rvsa-vit-b', 'gfm-swin-b'])
def test_other_backbones_pass_through_the_segmentor(name):
    cfg = load_config(str(ROOT / f'finetune_seg/rsfm/sdf_{name}_loveda.py'))
    small = (
        dict(embed_dims=4, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))
        if 'swin' in name
        else dict(
            arch=dict(embed_dims=8, num_layers=4, num_heads=2), interval=2, img_size=64
        )
    )
    cfg.model.backbone.update(small)
    widths = [4, 8, 16, 32] if 'swin' in name else [8] * 4
    cfg.model.decode_head.update(in_channels=widths, channels=8)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.init_weights()
    images = torch.randn(2, 3, 64, 64)
    labels = torch.randint(0, 7, (2, 64, 64))
    slices = [dict(name='loveda')]
    losses = model.loss_by_dataset('loveda', model.extract_feat(images, slices), labels)
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.backbone.parameters())
