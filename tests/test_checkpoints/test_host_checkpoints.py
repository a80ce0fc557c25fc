"""Files of the hosts' own runs are read as they are, wherever a checkpoint is taken."""

import copy
import pickle
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader, Runner

from s5_mm.checkpoints import install_safe_loader, load_data_only
from s5_mm.models.backbones import ViT
from s5_mm.registry import MODELS

from ..support.warm_python import warm_python
from ..test_end_to_end import toy_s4p
from ..test_tools.test_convert_checkpoint import TOOL as CONVERTER
from . import host_runs

ROOT = Path(__file__).parents[2]
ARCH = dict(embed_dims=12, num_layers=4, num_heads=2)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('host')
    host_runs.write_images(folder / 'images')
    host_runs.train(host_runs.segmentation_config(folder / 'images', folder / 'run'))
    return folder


@pytest.fixture(autouse=True)
def safe_loader():
    schemes = dict(CheckpointLoader._schemes)
    install_safe_loader()
    yield
    CheckpointLoader._schemes = schemes


def _executed(path):
    """What torch makes of the file if it may call whatever stands in it."""
    return torch.load(path, weights_only=False)


def _best(folder):
    return next((folder / 'run').glob('best_mIoU_iter_*.pth'))


def _same(found, expected):
    assert found.keys() == expected.keys()
    assert found
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize('kind', ['interval', 'best', 'legacy', 'pth.tar'])
def test_all_of_a_file_is_read(folder, kind, tmp_path):
    path = folder / 'run/iter_2.pth'
    if kind == 'best':
        path = _best(folder)
    elif kind == 'pth.tar':
        path = Path(shutil.copy(path, tmp_path / 'checkpoint.pth.tar'))
    elif kind == 'legacy':
        content, path = _executed(path), tmp_path / 'legacy.pth'
        torch.save(content, path, _use_new_zipfile_serialization=False)
    found, expected = load_data_only(path), _executed(path)
    assert found.keys() == expected.keys()
    assert 'ema_state_dict' in found
    assert ('optimizer' in found) == (kind != 'best')
    for part in ('state_dict', 'ema_state_dict'):
        if part == 'ema_state_dict':
            assert found[part].pop('steps') == expected[part].pop('steps')
        _same(found[part], expected[part])
    for number, state in expected.get('optimizer', {}).get('state', {}).items():
        _same(found['optimizer']['state'][number], state)
    for part in ('param_schedulers', 'meta'):
        assert found.get(part) == expected.get(part)
    hub, own = found['message_hub'], expected['message_hub']
    assert hub['runtime_info'] == own['runtime_info']
    assert [type(x) for x in hub['runtime_info'].values()] == [
        type(x) for x in own['runtime_info'].values()
    ]
    assert hub['log_scalars'].keys() == own['log_scalars'].keys()
    for name, history in own['log_scalars'].items():
        for ours, theirs in zip(
            hub['log_scalars'][name].data, history.data, strict=True
        ):
            assert ours.tobytes() == theirs.tobytes()


def test_pretrained_backbone_from_a_segmentor(folder):
    path = str(folder / 'run/iter_4.pth')
    init_cfg = dict(type='Pretrained', checkpoint=path)
    model = ViT(ARCH, img_size=64, init_cfg=init_cfg)
    model.init_weights()
    state = _executed(path)['state_dict']
    for i in range(4):
        name = f'layers.{i}.attn.attn.in_proj_weight'
        assert torch.equal(model.state_dict()[name], state[f'backbone.{name}'])
    # mmengine's own reading, by a model of the host
    config = host_runs.segmentation_config(folder / 'images', folder).model
    theirs = MODELS.build(
        config | dict(type='mmseg.EncoderDecoder', init_cfg=init_cfg, _scope_='mmseg')
    )
    theirs.init_weights()
    _same(theirs.state_dict(), state)


def _with_our_hooks(config):
    config.default_hooks.checkpoint = dict(
        type='s5_mm.AtomicCheckpointHook', by_epoch=False, interval=2
    )
    config.default_hooks.checkpoint_fit = dict(type='s5_mm.CheckpointFitHook')
    return config


def test_load_from_with_the_hook_that_checks(folder, tmp_path):
    path = folder / 'run/iter_4.pth'
    config = _with_our_hooks(host_runs.segmentation_config(folder / 'images', tmp_path))
    config.load_from, config.custom_hooks = str(path), []
    runner = Runner.from_cfg(config)
    runner.load_or_resume()
    _same(runner.model.state_dict(), _executed(path)['state_dict'])


@pytest.mark.parametrize('hooks', ['host', 'ours'])
def test_resumed_from_a_hosts_file_equals_never_stopped(folder, tmp_path, hooks):
    config = host_runs.segmentation_config(folder / 'images', tmp_path)
    if hooks == 'ours':
        _with_our_hooks(config)
    config.load_from, config.resume = str(folder / 'run/iter_2.pth'), True
    runner = host_runs.train(config)
    found = load_data_only(tmp_path / 'iter_4.pth')
    expected = _executed(folder / 'run/iter_4.pth')
    _same(found['state_dict'], expected['state_dict'])
    history = runner.message_hub.get_scalar('train/loss')
    own = expected['message_hub']['log_scalars']['train/loss']
    assert len(history.data[0]) == host_runs.ITERATIONS
    assert history.data[0].tobytes() == own.data[0].tobytes()
    assert found['param_schedulers'] == expected['param_schedulers']


def test_fixmatch_resumes_from_a_file_of_the_hosts_hook(tmp_path):
    data = tmp_path / 'data'
    toy_s4p.write_scenes(data)
    config = toy_s4p.toy_config(data, default_hooks__checkpoint__interval=8)
    plain = copy.deepcopy(config)
    plain.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=8
    )
    del plain.default_hooks['preemption']  # goes with our own hook
    whole = toy_s4p.train(plain, tmp_path / 'host')
    config.load_from = str(tmp_path / 'host/iter_8.pth')
    with pytest.raises(pickle.UnpicklingError, match='Weights only load failed'):
        torch.load(config.load_from, weights_only=True)
    resumed = toy_s4p.train(config, tmp_path / 'ours', resume=True)
    _same(resumed.model.state_dict(), whole.model.state_dict())
    found, expected = (
        runner.message_hub.get_scalar('train/loss').data[0]
        for runner in (resumed, whole)
    )
    assert found.tobytes() == expected.tobytes()


def test_the_test_command_gives_the_figures_of_the_hosts_run(folder, tmp_path):
    config = tmp_path / 'host.py'
    host_runs.segmentation_config(folder / 'images', tmp_path / 'test').dump(config)
    path = _best(folder)
    done = subprocess.run(
        [warm_python(), '-W', 'ignore', ROOT / 'tools/test.py', config, path],
        capture_output=True,
        text=True,
        timeout=280,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    figure = re.findall(r'Iter\(test\).*?mIoU: ([\d.]+)', output)[-1]
    score = _executed(path)['message_hub']['runtime_info']['best_score']
    assert float(figure) == pytest.approx(float(score), abs=1e-4)


def test_files_of_mmdet_are_read_and_resumed(folder, tmp_path):
    work_dir = tmp_path / 'run'
    host_runs.train(host_runs.detection_config(folder / 'images', work_dir))
    content = _executed(work_dir / 'epoch_1.pth')
    found = load_data_only(work_dir / 'epoch_1.pth')
    assert found.keys() == content.keys()
    assert found['meta'] == content['meta']
    _same(found['state_dict'], content['state_dict'])
    config = _with_our_hooks(
        host_runs.detection_config(folder / 'images', tmp_path / 'ours')
    )
    config.default_hooks.checkpoint.update(by_epoch=True, interval=1)
    config.load_from, config.resume = str(work_dir / 'epoch_1.pth'), True
    host_runs.train(config)
    _same(
        load_data_only(tmp_path / 'ours/epoch_2.pth')['state_dict'],
        _executed(work_dir / 'epoch_2.pth')['state_dict'],
    )


def test_files_of_mmpretrain_give_mmpretrains_features(tmp_path):
    pytest.importorskip('mmpretrain')
    host_runs.write_images(tmp_path)
    for index, name in enumerate('abab'):
        (tmp_path / 'classes' / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / f'img/{index}.png', tmp_path / 'classes' / name)
    config = host_runs.classification_config(tmp_path / 'classes', tmp_path / 'run')
    theirs = host_runs.train(config).model.backbone
    theirs.eval()  # returns nothing
    files = sorted((tmp_path / 'run').glob('*.pth'))
    assert len(files) == 3  # the best and two epochs
    for path in files:
        model = ViT(
            ARCH, img_size=64, with_cls_token=True, final_norm=True, with_fpn=False
        )
        model.init_cfg = dict(type='Pretrained', checkpoint=str(path))
        model.init_weights()
        state = _executed(path)['state_dict']
        theirs.load_state_dict(
            {
                name.removeprefix('backbone.'): tensor
                for name, tensor in state.items()
                if name.startswith('backbone.')
            }
        )
        images = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            torch.testing.assert_close(
                model.eval()(images)[-1], theirs(images)[-1], rtol=0, atol=1e-5
            )


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_a_hosts_file_is_converted(folder, tmp_path, suffix):
    path = folder / 'run/iter_4.pth'
    CONVERTER.main([str(path), str(tmp_path / f'out.{suffix}')])
    found = load_data_only(tmp_path / f'out.{suffix}')['state_dict']
    expected = _executed(path)['state_dict']
    assert found.keys() == expected.keys()
    _same(found, expected)


def test_the_config_in_a_file_of_mmcv_1_is_left_out_on_resume(folder, tmp_path):
    content = _executed(folder / 'run/iter_2.pth')
    content['meta']['config'] = 'gpu_ids = [0, 1]'
    torch.save(content, tmp_path / 'old.pth')
    assert (
        'config'
        not in CheckpointLoader.load_checkpoint(str(tmp_path / 'old.pth'))['meta']
    )
    config = host_runs.segmentation_config(folder / 'images', tmp_path / 'run')
    config.custom_hooks = []
    runner = Runner.from_cfg(config)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    runner.resume(str(tmp_path / 'old.pth'))
    assert runner.iter == 2
