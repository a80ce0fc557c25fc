"""Every config is readable, short, complete and buildable."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from s5_mm.registry import MODELS, TRANSFORMS
from s5_mm.utils.config import RUNNER_KEYS, check_keys, load_config, resume_from

ROOT = Path(__file__).parents[2] / 'configs'
LEAVES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob('*.py')
    if '_base_' not in path.parts
)
# Vanishing encoders would make the tests below pass on nothing.
MINIMUM = 10


def _load(leaf):
    return load_config(str(ROOT / leaf))


def test_there_are_configs():
    assert len(LEAVES) >= MINIMUM
    assert 's4p/vit-l_rs4p1m.py' in LEAVES


@pytest.mark.parametrize('leaf', LEAVES)
def test_config_has_all_parts_and_survives_dumping(leaf, tmp_path):
    cfg = _load(leaf)
    for key in ('model', 'train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert key in cfg, key
    for key in ('visualizer', 'default_hooks', 'optim_wrapper', 'param_scheduler'):
        assert key in cfg, key
    if not leaf.startswith('demo/'):
        assert cfg.auto_scale_lr.base_batch_size % cfg.train_dataloader.batch_size == 0
        assert cfg.tta_pipeline
    cfg.dump(tmp_path / 'dumped.py')
    again = Config.fromfile(tmp_path / 'dumped.py')
    assert again.to_dict() == cfg.to_dict()
    # The order of the data sets decides over draws and the optimizer's parameters.
    assert str(again.to_dict()) == str(cfg.to_dict())


@pytest.mark.parametrize('leaf', LEAVES)
def test_model_and_pipelines_build(leaf):
    cfg = _load(leaf)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    names = dict(model.named_parameters())
    assert names
    for loader in ('train_dataloader', 'val_dataloader'):
        for pipeline in _pipelines(cfg[loader]):
            for transform in pipeline:
                TRANSFORMS.build(transform)
    for transform in cfg.get('tta_pipeline', []):
        TRANSFORMS.build(transform)


def _pipelines(node):
    if isinstance(node, dict):
        if 'pipeline' in node:
            yield node['pipeline']
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _pipelines(child)


@pytest.mark.parametrize('leaf', LEAVES)
def test_batch_is_the_sum_of_the_shares(leaf):
    loader = _load(leaf).train_dataloader
    assert loader.batch_size == sum(loader.sampler.shares)
    assert len(loader.sampler.shares) == len(loader.dataset.sources)


@pytest.mark.parametrize('size', ['l', 'h'])
@pytest.mark.parametrize('family', ['rs4p1m', 'isaid_supervised'])
def test_bigger_models_are_short_overrides(size, family):
    lines = (ROOT / f's4p/vit-{size}_{family}.py').read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.startswith('#')]
    assert len(code) < 15, 'a bigger model overrides the smaller one'
    base, bigger = _load(f's4p/vit-b_{family}.py'), _load(f's4p/vit-{size}_{family}.py')
    for key in ('optim_wrapper', 'train_dataloader', 'train_cfg', 'param_scheduler'):
        assert bigger[key] == base[key]


@pytest.mark.parametrize('path', sorted(ROOT.rglob('*.py')), ids=lambda path: path.name)
def test_no_absolute_path_and_no_foreign_base(path):
    text = path.read_text()
    for forbidden in ("'/", '"/', 'mmseg::', 'mmdet::'):
        assert forbidden not in text


def test_schedule_is_the_releases():
    cfg = _load('s4p/vit-l_rs4p1m.py')
    assert cfg.train_cfg.max_iters == 120_000
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == (
        'AdamW',
        5e-5,
        0.01,
    )
    assert cfg.optim_wrapper.dtype == 'bfloat16'
    assert cfg.model.semi_train_cfg.conf_thresh == 0.95
    assert cfg.model.segmentor.decode_head.num_classes == 16
    assert cfg.auto_scale_lr.base_batch_size == 8 * (12 + 12)


def test_release_variant_names_every_difference():
    cfg = _load('s4p/vit-b_rs4p1m_release.py')
    assert cfg.model.segmentor.backbone.norm_eps == 1e-5
    assert cfg.model.segmentor.decode_head.align_corners is True
    assert cfg.model.semi_train_cfg.average_losses is True
    assert cfg.train_dataloader.sampler.follows == [None, None, 1]
    assert cfg.optim_wrapper.dtype == 'float16'
    for source in ('sup', 'unsup'):
        pipeline = cfg.train_dataloader.dataset.sources[source].pipeline
        geometry = [t for t in pipeline if t.type == 's5_mm.RandomGeometry']
        assert [t.rotate90 for t in geometry] == [False]


@pytest.mark.parametrize('leaf', LEAVES)
def test_supervised_twin_differs_in_the_unlabelled_branch_alone(leaf):
    if 'supervised' not in leaf:
        return
    twin = _load(leaf)
    semi = 'demo/fixmatch.py' if 'demo' in leaf else leaf.replace('_supervised', '')
    if 'isaid' in leaf:
        semi = leaf.replace('isaid_supervised', 'rs4p1m')
    full = _load(semi)
    assert twin.model.segmentor == full.model.segmentor
    assert twin.optim_wrapper == full.optim_wrapper
    assert twin.param_scheduler == full.param_scheduler
    assert twin.train_cfg == full.train_cfg
    sources, twins = (c.train_dataloader.dataset.sources for c in (full, twin))
    assert twins.sup == sources.sup
    assert list(twins) == ['sup']
    assert (
        twin.train_dataloader.sampler.shares[0]
        == (full.train_dataloader.sampler.shares[0])
    )


# -- what the commands do to a config -------------------------------------------------
def test_s5_mm_is_a_base_for_others(tmp_path):
    child = tmp_path / 'child.py'
    child.write_text("_base_ = 's5_mm::s4p/vit-l_rs4p1m.py'\nmax_iters = 1\n")
    code = f"""
import s5_mm
from mmengine.config import Config
print(Config.fromfile({str(child)!r}).model.segmentor.backbone.arch)
"""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True
    )
    assert done.stdout.strip().endswith('l'), done.stderr


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('optim_wraper = dict()', "unknown setting 'optim_wraper'.*'optim_wrapper'"),
        ('train_dataloder = dict()', "'train_dataloder'.*'train_dataloader'"),
        ('custom_hook = []', "'custom_hook'.*'custom_hooks'"),
    ],
)
def test_misspelt_settings_are_refused(tmp_path, line, message):
    path = tmp_path / 'wrong.py'
    path.write_text(line + '\n')
    with pytest.raises(KeyError, match=message):
        load_config(str(path))


def test_own_variables_are_allowed():
    names = dict(crop_size=1, data_root='x', classes=(), train_pipeline=[], custom=1)
    check_keys(Config(names))
    assert 'optim_wrapper' in RUNNER_KEYS


def test_wrong_argument_of_a_module_is_named():
    cfg = _load('s4p/vit-t_dubai.py')
    cfg.model.segmentor.backbone.patch_sizes = 8
    init_default_scope(cfg.default_scope)
    with pytest.raises(TypeError, match='patch_sizes'):
        MODELS.build(cfg.model)


def test_missing_config_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.py'):
        load_config(str(tmp_path / 'nothing.py'))


def test_data_root_on_the_command_line_moves_every_data_set():
    cfg = load_config(str(ROOT / 's4p/vit-t_dubai.py'), dict(data_root='elsewhere'))
    sources = cfg.train_dataloader.dataset.sources
    assert sources.sup.data_root == 'elsewhere/dubai'
    assert sources.unsup.data_root == 'elsewhere/oam_tiles'
    assert cfg.val_dataloader.dataset.data_root == 'elsewhere/dubai'
    assert cfg.test_dataloader.dataset.data_root == 'elsewhere/dubai'


def test_data_root_without_such_a_setting_is_refused(tmp_path):
    path = tmp_path / 'plain.py'
    path.write_text('max_iters = 1\n')
    with pytest.raises(KeyError, match='no top-level data_root'):
        load_config(str(path), dict(data_root='x'))


def test_resume_of_a_new_run_starts_from_the_configs_weights(tmp_path):
    cfg = _load('s4p/vit-t_dubai.py')
    cfg.work_dir, cfg.load_from = str(tmp_path), 'warm.pth'
    resume_from(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (False, 'warm.pth')
    (tmp_path / 'last_checkpoint').write_text('iter_4.pth')
    resume_from(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (True, None)
    resume_from(cfg, str(tmp_path / 'last_checkpoint'))
    assert cfg.load_from == str(tmp_path / 'last_checkpoint')
    with pytest.raises(FileNotFoundError, match=r'there is no checkpoint .*none\.pth'):
        resume_from(cfg, str(tmp_path / 'none.pth'))
