"""Every config is readable, short, complete and buildable."""

import copy
import math
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope

from s5_mm.cli.config import check_keys, load_config
from s5_mm.cli.reading import RUNNER_KEYS
from s5_mm.cli.switches import resume_from
from s5_mm.datasets.samplers.shares import resolve_shares
from s5_mm.engine.optimizers import NonFiniteGuard
from s5_mm.registry import DATASETS, METRICS, MODELS, OPTIM_WRAPPERS, TRANSFORMS

from ..support.package_configs import package_configs

ROOT = Path(__file__).parents[2] / 'configs'
# Configs of detection need the compiled ops: see test_detection_configs.py; those of
# curation and of labs train nothing: test_curation_configs.py, test_lab_configs.py.
LEAVES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in package_configs()
    if not {'_base_', 'finetune_det', 'curation', 'lab'} & set(path.parts)
)
# Vanishing encoders would make the tests below pass on nothing.
MINIMUM = 10
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@cache
def _read(leaf):
    return load_config(str(ROOT / leaf))


def _load(leaf):
    """A copy: reading takes twenty times as long."""
    return copy.deepcopy(_read(leaf))


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
    for loader in LOADERS:
        pipelines = list(_pipelines(cfg[loader]))
        assert pipelines
        for pipeline in pipelines:
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


@pytest.mark.parametrize(
    'path',
    [
        path
        for path in sorted(package_configs())
        if not {'_base_', 'curation', 'lab'} & set(path.parts)
    ],
    ids=lambda path: path.stem,
)
def test_every_training_skips_what_is_not_finite(path):
    cfg = Config.fromfile(path)
    assert cfg.default_hooks.non_finite.type == 's5_mm.NonFiniteHook'
    assert issubclass(OPTIM_WRAPPERS.get(cfg.optim_wrapper.type), NonFiniteGuard)
    # Or the host would wait for the device in every iteration.
    assert cfg.optim_wrapper.optimizer.fused


@pytest.mark.parametrize('leaf', LEAVES)
def test_batch_is_the_sum_of_the_shares(leaf):
    loader = _load(leaf).train_dataloader
    names = list(loader.dataset.sources)
    rule = not isinstance(loader.sampler.shares, list)
    # A batch size is written once, beside the shares that are no numbers.
    assert 'batch_size' not in loader.sampler
    shares = resolve_shares(
        loader.sampler.shares,
        names,
        [1000] * len(names),
        loader.batch_size if rule else None,
    )
    assert loader.batch_size == sum(shares)
    assert len(shares) == len(names)
    if loader.sampler.shares == 'equal':
        assert len(set(shares)) == 1


@pytest.mark.parametrize('leaf', LEAVES)
def test_evaluators_build(leaf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write predictions
    cfg = _load(leaf)
    init_default_scope(cfg.default_scope)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert hasattr(METRICS.build(evaluator), 'compute_metrics')


@pytest.mark.parametrize('size', ['l', 'h'])
@pytest.mark.parametrize('family', ['rs4p1m', 'isaid_supervised'])
def test_bigger_models_are_short_overrides(size, family):
    lines = (ROOT / f's4p/vit-{size}_{family}.py').read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.startswith('#')]
    assert len(code) < 15, 'a bigger model overrides the smaller one'
    base, bigger = _load(f's4p/vit-b_{family}.py'), _load(f's4p/vit-{size}_{family}.py')
    for key in ('optim_wrapper', 'train_dataloader', 'train_cfg', 'param_scheduler'):
        assert bigger[key] == base[key]


@pytest.mark.parametrize('path', sorted(package_configs()), ids=lambda path: path.name)
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
    assert cfg.optim_wrapper.dtype == 'auto'
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


# -- several data sets ----------------------------------------------------------------
PAPER = ('vaihingen', 'potsdam', 'openearthmap', 'loveda')
SMALL = ('dubai', 'korea_s2', 'hrsc_ships')
FINETUNE = [leaf for leaf in LEAVES if leaf.startswith('finetune_seg/')]
SERVER = [leaf for leaf in FINETUNE if leaf.endswith('-test.py')]
WHOLE = [leaf for leaf in FINETUNE if leaf not in SERVER]


def _settings(leaf):
    """What the runner reads of a config, every value by the path of its keys."""
    flat = {}

    def walk(path, node):
        if isinstance(node, dict) and node:
            for key, value in node.items():
                walk((*path, key), value)
        elif isinstance(node, (list, tuple)) and any(isinstance(x, dict) for x in node):
            for index, value in enumerate(node):
                walk((*path, index), value)
        else:
            flat['.'.join(map(str, path))] = node

    cfg = _load(leaf).to_dict()
    for key in RUNNER_KEYS & cfg.keys() - {'work_dir'}:  # has the config's name
        walk((key,), cfg[key])
    assert len(flat) > 100
    return flat


def _differences(leaf, other):
    """Paths at which two configs differ: values here and there, None for none."""
    one, two = _settings(f'finetune_seg/{leaf}'), _settings(f'finetune_seg/{other}')
    return {
        path: (one.get(path), two.get(path))
        for path in one.keys() | two.keys()
        if path not in one or path not in two or one[path] != two[path]
    }


def test_there_is_every_model_of_the_paper():
    names = {Path(leaf).stem for leaf in FINETUNE}
    for size in 'blh':
        wanted = {f'mdf_vit-{size}', f'moe-mdf_vit-{size}'}
        wanted |= {f'sdf_vit-{size}_{name}' for name in PAPER}
        assert wanted <= names
    assert {f'sdf_vit-t_{name}' for name in SMALL} <= names
    assert SERVER == ['finetune_seg/moe-mdf_vit-b_loveda-test.py']


def _names(leaf):
    """Data sets that a config is for, by its name."""
    stem = Path(leaf).stem
    if 'sdf_' in stem:
        return [stem.split('_', 2)[2]]
    return list(SMALL if 'vit-t' in stem else PAPER)


@pytest.mark.parametrize('leaf', WHOLE)
def test_model_data_and_metrics_have_the_same_names(leaf):
    cfg = _load(leaf)
    names = _names(leaf)
    assert list(cfg.model.datasets) == names
    for loader in LOADERS:
        assert list(cfg[loader].dataset.sources) == names
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert list(evaluator.metrics) == names
        assert set(evaluator.get('headline', {})) <= set(names)
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator


def test_the_servers_data_set_is_not_judged_here():
    (leaf,) = SERVER
    plain, cfg = _load('finetune_seg/moe-mdf_vit-b.py'), _load(leaf)
    others = [name for name in PAPER if name != 'loveda']
    assert cfg.model == plain.model
    train = cfg.train_dataloader.dataset.sources
    assert list(train) == list(PAPER)
    sources = plain.train_dataloader.dataset.sources
    val = plain.val_dataloader.dataset.sources
    assert train.loveda.datasets == [sources.loveda, val.loveda]
    for name in others:
        assert train[name] == sources[name]
        assert cfg.val_dataloader.dataset.sources[name] == val[name]
    assert list(cfg.val_dataloader.dataset.sources) == others
    assert list(cfg.val_evaluator.metrics) == others
    assert list(cfg.test_dataloader.dataset.sources) == ['loveda']
    assert list(cfg.test_evaluator.metrics) == ['loveda']
    assert not cfg.test_evaluator.headline


def _parts(source):
    """Configs of data sets with files: a source, or what it is joined of."""
    return source.get('datasets', [source])


@pytest.mark.parametrize('leaf', FINETUNE)
def test_heads_have_the_classes_of_their_data_sets(leaf):
    cfg = _load(leaf)
    init_default_scope(cfg.default_scope)
    for loader in LOADERS:
        for name, source in cfg[loader].dataset.sources.items():
            assert _parts(source)
            for part in _parts(source):
                known = getattr(DATASETS.get(part.type), 'METAINFO', {})
                info = {**known, **part.get('metainfo', {})}
                count = cfg.model.datasets[name].num_classes
                assert len(info['classes']) == len(set(info['classes'])) == count
                assert len(info['palette']) == count


SHARED = ('dubai_oam', 'isaid_rs4p1m', 'multi_dataset', 'multi_dataset_det')
SHARED += ('own_images',)  # test_own_images
SHARED += ('s4_split', 'hrsc_ships_split', 'dubai_split', 'korea_s2_split')
BOXES = ('diorr', 'dota8', 'dotav2', 'hrsc_ships_boxes')  # test_detection_configs.py
DATA_FILES = sorted(
    path
    for path in package_configs()
    if path.parent == ROOT / '_base_/datasets' and path.stem not in SHARED + BOXES
)


def test_there_is_a_file_for_each_data_set():
    assert {path.stem for path in DATA_FILES} == {*PAPER, *SMALL}


@pytest.mark.parametrize('path', DATA_FILES, ids=lambda path: path.stem)
def test_file_of_a_data_set_defines_nothing_but_it(path):
    """Files of several data sets become one config: their names must not meet."""
    defined = Config.fromfile(path)
    assert list(defined) == [path.stem]
    own = defined[path.stem]
    assert set(own) == {'model', 'train', 'val', 'metric'}
    assert own.train != own.val
    assert set(own.train) == set(own.val)
    differ = {key for key in own.train if own.train[key] != own.val[key]}
    assert differ <= {'data_prefix', 'ann_file'}


def _starts_with(paths, *allowed):
    return {path for path in paths if not path.startswith(allowed)}


@pytest.mark.parametrize('size', ['b', 'l', 'h'])
@pytest.mark.parametrize('name', PAPER)
def test_sdf_is_mdf_of_one_data_set_with_a_schedule_of_its_own(name, size):
    sdf, mdf = f'sdf_vit-{size}_{name}.py', f'mdf_vit-{size}.py'
    found = _differences(sdf, mdf)
    data = [f'{loader}.dataset.sources.' for loader in LOADERS]
    judged = [f'{k}_evaluator.{p}.' for k in ('val', 'test') for p in ('metrics',)]
    judged += ['val_evaluator.headline', 'test_evaluator.headline']
    others = _starts_with(found, 'model.datasets.', *data, *judged)
    # Nothing that is the data set's own changes.
    for path in found:
        if path.startswith(('model.datasets.', *data, *judged[:2])):
            assert f'.{name}.' not in path
    one, all_ = _load(f'finetune_seg/{sdf}'), _load(f'finetune_seg/{mdf}')
    defaults = {'param_scheduler.0.begin': 0, 'param_scheduler.0.eta_min': 0.0}
    for path, value in defaults.items():
        if path in others:
            assert found[path] == (None, value)
            others.remove(path)
    schedule = {
        'train_cfg.max_iters',
        'train_cfg.val_interval',
        'param_scheduler.0.T_max',
        'param_scheduler.0.end',
        'default_hooks.checkpoint.interval',
        'train_dataloader.batch_size',
        'auto_scale_lr.base_batch_size',
    }
    # Potsdam is the longest: MDF validates as often.
    same = {'train_cfg.val_interval', 'default_hooks.checkpoint.interval'}
    assert others | (same if name == 'potsdam' else set()) == schedule
    iterations, interval = one.train_cfg.max_iters, one.train_cfg.val_interval
    assert iterations < all_.train_cfg.max_iters
    assert iterations >= 4 * interval
    assert one.default_hooks.checkpoint.interval == interval
    (cosine,) = one.param_scheduler
    assert cosine.T_max == cosine.end == iterations
    # As many of this data set in a batch as MDF has of it.
    assert one.train_dataloader.batch_size * 4 == all_.train_dataloader.batch_size
    assert one.auto_scale_lr.base_batch_size * 4 == all_.auto_scale_lr.base_batch_size


def test_schedule_is_a_cosine_to_zero_with_and_without_the_defaults():
    parameter = torch.nn.Parameter(torch.zeros(1))
    for leaf in ('mdf_vit-b.py', 'sdf_vit-b_loveda.py'):
        (given,) = _load(f'finetune_seg/{leaf}').param_scheduler
        given = {**given, 'T_max': 20, 'end': 20}
        optimizer = torch.optim.SGD([parameter], lr=2.0)
        cosine = PARAM_SCHEDULERS.build(given, default_args=dict(optimizer=optimizer))
        rates = []
        for _ in range(20):
            rates.append(optimizer.param_groups[0]['lr'])
            optimizer.step()
            cosine.step()
        wanted = [1 + math.cos(math.pi * step / 20) for step in range(20)]
        assert rates == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize('size', ['b', 'l', 'h', 't_dubai-korea-hrsc'])
def test_moe_differs_from_mdf_in_the_backbone_alone(size):
    found = _differences(f'moe-mdf_vit-{size}.py', f'mdf_vit-{size}.py')
    assert found == {
        'model.backbone.type': ('s5_mm.ViTMoE', 's5_mm.ViT'),
        'model.backbone.part_features': (64 if size[0] == 't' else 256, None),
    }


@pytest.mark.parametrize('features', [128, 512])
def test_other_widths_of_the_experts_differ_in_it_alone(features):
    found = _differences(f'moe-mdf_vit-b_part{features}.py', 'moe-mdf_vit-b.py')
    assert found == {'model.backbone.part_features': (features, 256)}


@pytest.mark.parametrize('size', ['l', 'h'])
@pytest.mark.parametrize(
    'family', ['mdf_vit-{}', 'moe-mdf_vit-{}', *(f'sdf_vit-{{}}_{n}' for n in PAPER)]
)
def test_bigger_fine_tuning_is_a_short_override(family, size):
    leaf, base = f'{family.format(size)}.py', f'{family.format("b")}.py'
    lines = (ROOT / 'finetune_seg' / leaf).read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.startswith('#')]
    assert len(code) < 6
    weights = 'pretrained/vit_{}_s4p_upernet.pth'
    assert _differences(leaf, base) == {
        'model.backbone.arch': (size, 'b'),
        'load_from': (weights.format(size), weights.format('b')),
    }


def test_fine_tuning_release_variant_names_every_difference():
    found = _differences('moe-mdf_vit-b_release.py', 'moe-mdf_vit-b.py')
    assert found == {
        'model.backbone.norm_eps': (1e-5, None),
        'model.decode_head.align_corners': (True, False),
        'model.decode_head.loss_decode.sync_normalizer': (False, None),
        'model.datasets.vaihingen.start_iter': (37_030, None),
        'model.datasets.loveda.test_cfg.windows': (5, None),
        'optim_wrapper.dtype': ('float16', 'auto'),
        'optim_wrapper.constructor': (
            'DefaultOptimWrapperConstructor',
            's5_mm.LayerDecayOptimWrapperConstructor',
        ),
        'optim_wrapper.paramwise_cfg': (None, None),
        'optim_wrapper.paramwise_cfg.layer_decay_rate': (None, 0.9),
    }


def test_fine_tuning_schedule_is_the_releases():
    cfg = _load('finetune_seg/moe-mdf_vit-b.py')
    assert cfg.train_cfg.max_iters == 100 * (12_696 // 24)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == (
        'AdamW',
        5e-5,
        0.05,
    )
    assert cfg.train_dataloader.sampler.shares == 'equal'
    assert cfg.train_dataloader.batch_size == 4 * 12
    counts = {name: own.num_classes for name, own in cfg.model.datasets.items()}
    assert counts == dict(vaihingen=5, potsdam=5, openearthmap=9, loveda=7)
    assert cfg.val_evaluator.headline == dict(potsdam='mF1')


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
    with pytest.raises(FileNotFoundError, match=r'none\.pth: no such checkpoint file'):
        resume_from(cfg, str(tmp_path / 'none.pth'))
