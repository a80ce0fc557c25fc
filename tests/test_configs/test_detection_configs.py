"""Every config of oriented detection is short, complete, and builds."""

import copy
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')

import torch  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

from s5_mm.cli.config import load_config  # noqa: E402
from s5_mm.cli.meta import build_on_meta, count_params  # noqa: E402
from s5_mm.models.backbones.vit_arch import resolve_arch  # noqa: E402
from s5_mm.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS  # noqa: E402

from ..support.package_configs import package_configs  # noqa: E402
from .test_configs import BOXES, LOADERS, ROOT, _pipelines  # noqa: E402

LEAVES = sorted(
    path.name for path in package_configs() if path.parent == ROOT / 'finetune_det'
)
PAPER = ('diorr', 'dotav2')


@cache
def _read(leaf):
    return load_config(str(ROOT / 'finetune_det' / leaf))


def _load(leaf):
    return copy.deepcopy(_read(leaf))


def test_there_is_every_model_of_the_paper():
    names = {Path(leaf).stem for leaf in LEAVES}
    for size in 'blh':
        wanted = {f'{kind}_orcnn_vit-{size}' for kind in ('mdf', 'moe-mdf')}
        assert wanted | {f'orcnn_vit-{size}_{name}' for name in PAPER} <= names
    assert {'orcnn_vit-t_hrsc', 'moe-mdf_orcnn_vit-t_hrsc-dota8'} <= names


#: Millions of parameters (Table 1): size -> one data set, two with MoE, both at 512-px
#: position embeddings; two with MoE and two dense at 1024 px. With the class token that
#: the release keeps and never uses: ViT-L has 380.90 without it. The paper's 671.7 for
#: ViT-H and one data set is at no size of image.
PARAMS = {
    'b': (111.18, 138.28, 140.64, 131.20),
    'l': (334.66, 377.76, 380.91, 355.73),
    'h': (669.83, 729.97, 733.90, 691.95),
}


@pytest.mark.parametrize('size', PARAMS)
def test_parameters_are_the_papers(size):
    def millions(kind, pixels, name=''):
        cfg = _load(f'{kind}orcnn_vit-{size}{name}.py')
        cfg.model.backbone.img_size = pixels
        token = resolve_arch(size, None).embed_dims
        return round((count_params(build_on_meta(cfg)) + token) / 1e6, 2)

    single, moe, moe_1024, mdf_1024 = PARAMS[size]
    assert millions('', 512, '_diorr') == single
    assert millions('moe-mdf_', 512) == moe
    assert millions('moe-mdf_', 1024) == moe_1024
    assert millions('mdf_', 1024) == mdf_1024


@pytest.mark.parametrize('leaf', LEAVES)
def test_all_parts_build(leaf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = _load(leaf)
    assert cfg.default_scope == 'mmrotate'
    assert cfg.auto_scale_lr.base_batch_size % cfg.train_dataloader.batch_size == 0
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert sum(p.numel() for p in model.parameters()) > 1e6
    for loader in LOADERS:
        pipelines = list(_pipelines(cfg[loader]))
        assert len(pipelines) == 1  # --tta replaces it
        for pipeline in pipelines:
            for transform in pipeline:
                TRANSFORMS.build(transform)
    for transform in cfg.tta_pipeline:
        TRANSFORMS.build(transform)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert hasattr(METRICS.build(evaluator), 'compute_metrics')
    for hook in cfg.default_hooks.values():
        assert HOOKS.get(hook.type)
    cfg.dump(tmp_path / 'dumped.py')
    again = Config.fromfile(tmp_path / 'dumped.py')
    assert str(again.to_dict()) == str(cfg.to_dict())


@pytest.mark.parametrize('leaf', LEAVES)
def test_model_data_and_metrics_have_the_same_names_and_classes(leaf):
    cfg = _load(leaf)
    names = list(cfg.train_dataloader.dataset.sources)
    if 'datasets' in cfg.model:
        assert list(cfg.model.datasets) == names
        counts = {name: own.num_classes for name, own in cfg.model.datasets.items()}
    else:
        (name,) = names
        counts = {name: cfg.model.roi_head.bbox_head.num_classes}
    init_default_scope(cfg.default_scope)
    for loader in LOADERS:
        assert list(cfg[loader].dataset.sources) == names
        for name, source in cfg[loader].dataset.sources.items():
            for part in source.get('datasets', [source]):
                assert DATASETS.get(part.type)
                classes = part.metainfo.classes
                assert len(set(classes)) == len(classes) == counts[name]
                assert len(part.metainfo.palette) == counts[name]
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert list(evaluator.metrics) == names


@pytest.mark.parametrize('leaf', LEAVES)
def test_both_data_sets_are_shuffled_and_packed_with_their_name(leaf):
    cfg = _load(leaf)
    assert cfg.train_dataloader.sampler.type == 's5_mm.MultiSourceSampler'
    for loader in LOADERS:
        for pipeline in _pipelines(cfg[loader]):
            assert pipeline[-1].type == 'mmdet.PackDetInputs'
            keys = {'dataset_name', 'source', 'sample_key', 'img_id', 'scale_factor'}
            assert keys <= set(pipeline[-1].meta_keys)


@pytest.mark.parametrize('size', ['l', 'h'])
@pytest.mark.parametrize('family', ['mdf_orcnn_vit-{}', 'moe-mdf_orcnn_vit-{}'])
def test_bigger_models_are_short_overrides(family, size):
    cfg = _load(f'{family.format(size)}.py')
    lines = (ROOT / 'finetune_det' / f'{family.format(size)}.py').read_text()
    code = [x for x in lines.splitlines() if x.strip() and not x.startswith('#')]
    assert len(code) < 8
    dims = resolve_arch(size, None).embed_dims
    assert cfg.model.detector.neck.in_channels == [dims] * 4
    assert cfg.load_from == f'pretrained/vit_{size}_s4p.pth'


def test_schedule_is_the_releases():
    cfg = _load('moe-mdf_orcnn_vit-l.py')
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == (
        'AdamW',
        1e-4,
        0.05,
    )
    assert cfg.optim_wrapper.clip_grad.max_norm == 35
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == 0.9
    assert cfg.train_cfg.max_epochs == 12
    warmup, steps = cfg.param_scheduler
    assert (warmup.start_factor, warmup.end) == (0.001, 500)
    assert (steps.milestones, steps.gamma, steps.end) == ([8, 11], 0.1, 12)
    assert cfg.auto_scale_lr.base_batch_size == 4 * (2 + 2)
    head = cfg.model.detector.roi_head
    assert head.bbox_roi_extractor.extend_factor == (1.2, 1.4)
    assert head.bbox_head.reg_class_agnostic is True


def test_moe_differs_from_mdf_in_the_backbone_alone():
    moe, mdf = _load('moe-mdf_orcnn_vit-b.py'), _load('mdf_orcnn_vit-b.py')
    assert moe.model.backbone.pop('part_features') == 256
    assert moe.model.backbone.pop('type') == 's5_mm.ViTMoE'
    assert mdf.model.backbone.pop('type') == 's5_mm.ViT'
    assert moe.model == mdf.model
    assert moe.train_dataloader == mdf.train_dataloader


@pytest.mark.parametrize('name', BOXES)
def test_file_of_a_data_set_defines_its_name_first(name):
    defined = Config.fromfile(ROOT / f'_base_/datasets/{name}.py')
    assert next(iter(defined)) == name
    assert {'model', 'train', 'val', 'metric'} <= set(defined[name])
