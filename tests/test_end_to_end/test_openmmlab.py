"""What users of OpenMMLab try first, as docs/openmmlab.md prints it."""

import copy
import importlib.util
import re
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.apis import (
    MMSegInferencer,
    inference_model,
    init_model,
    show_result_pyplot,
)
from PIL import Image

from s5_mm.registry import MODELS
from s5_mm.utils.mmseg_config import mmseg_config

from .toy_s4p import ROOT, toy_config, train

_SHORT = dict(
    train_cfg__max_iters=3,
    train_cfg__val_interval=3,
    default_hooks__checkpoint__interval=3,
)


@pytest.fixture(scope='module')
def run(scenes, tmp_path_factory):
    """A short S4P run: its config file, its checkpoint, its validation images."""
    folder = tmp_path_factory.mktemp('run')
    short = dict(train_cfg__max_iters=4, default_hooks__checkpoint__interval=4)
    cfg = toy_config(scenes, **short)
    train(cfg, folder)
    path = folder / 'toy.py'
    cfg.dump(path)
    images = sorted((scenes / 'img_dir/val').iterdir())
    return str(path), str(folder / 'iter_4.pth'), [str(image) for image in images]


def _expected(run):
    """Predictions of the validation images by our own test loop."""
    path, checkpoint, _ = run
    cfg = Config.fromfile(path)
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=False)['state_dict'])
    loader = Runner.build_dataloader(cfg.test_dataloader)
    with torch.no_grad():
        found = [sample for data in loader for sample in model.test_step(data)]
    return {s.img_path: s.pred_sem_seg.data[0].numpy() for s in found}


def _blocks(language):
    text = (ROOT / 'docs/openmmlab.md').read_text()
    return re.findall(rf'```{language}\n(.*?)```', text, re.DOTALL)


def test_the_page_runs_word_for_word(run, tmp_path, monkeypatch):
    path, checkpoint, images = run
    folder = tmp_path / 'work_dirs/vit-t_dubai'
    folder.mkdir(parents=True)
    shutil.copy(path, folder / 'vit-t_dubai.py')
    shutil.copy(checkpoint, folder / 'iter_600.pth')
    shutil.copy(images[0], tmp_path / 'image.png')
    monkeypatch.chdir(tmp_path)
    scope = {}
    blocks = _blocks('python')
    assert len(blocks) == 5
    for block in blocks:
        if 'torch.onnx' in block and importlib.util.find_spec('onnxscript') is None:
            continue
        exec(block, scope)
    assert np.array_equal(scope['mask'].numpy(), _expected(run)[images[0]])
    assert (tmp_path / 'out/vis/image.png').is_file()
    assert len(scope['segmentor'].student.backbone.layers) == 4
    cfg = Config.fromfile(ROOT / 'configs/s4p/vit-t_dubai.py')
    head = cfg.model.segmentor.decode_head
    head.pop('loss_decode')
    head.loss_decode = scope['loss_decode']
    parts = MODELS.build(cfg.model).student.decode_head.loss_decode
    assert [part.loss_name for part in parts] == ['loss_ce', 'loss_dice']


def test_the_line_that_freezes_the_backbone():
    (command,) = _blocks('bash')
    file, option = re.search(r'train.py (\S+) .*?--cfg-options (\S+)', command,
                             re.DOTALL).groups()  # fmt: skip
    key, value = option.split('=')
    cfg = Config.fromfile(ROOT / file)
    cfg.merge_from_dict({key: int(value)})
    init_default_scope('mmseg')
    backbone = MODELS.build(cfg.model).student.backbone
    assert not any(p.requires_grad for p in backbone.layers.parameters())
    assert all(p.requires_grad for p in backbone.fpn1.parameters())


@pytest.mark.parametrize('name', ['wandb', 'mlflow'])
def test_curves_go_to_other_loggers(scenes, tmp_path, monkeypatch, name):
    pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
    scope = {}
    exec(next(block for block in _blocks('python') if 'WandbVis' in block), scope)
    chosen = [b for b in scope['vis_backends'] if name in b['type'].lower()]
    cfg = toy_config(scenes, **_SHORT)
    cfg.visualizer.name = name  # a visualizer of a name is made once per process
    cfg.visualizer.vis_backends = [scope['vis_backends'][0], *chosen]
    train(cfg, tmp_path / 'run')
    pattern = dict(wandb='**/*.wandb', mlflow='mlruns/**/metrics/loss_sup')[name]
    assert list(tmp_path.glob(pattern))


def test_a_config_is_read_and_its_model_built_with_mmengine_alone(run):
    cfg = Config.fromfile(run[0])
    init_default_scope(cfg.default_scope)
    assert type(MODELS.build(cfg.model)).__name__ == 'FixMatch'


def test_init_model_takes_the_config_of_a_run_as_it_is(run):
    path, checkpoint, _ = run
    model = init_model(path, checkpoint, device='cpu')
    stored = torch.load(checkpoint, weights_only=False)['state_dict']
    assert torch.equal(
        model.decode_head.conv_seg.weight, stored['student.decode_head.conv_seg.weight']
    )
    assert model.dataset_meta['classes'] == ('field', 'road', 'building', 'water',
                                             'tree', 'vehicle')  # fmt: skip


def test_predictions_of_mmsegs_interfaces_are_those_of_our_test_loop(run, tmp_path):
    path, checkpoint, images = run
    expected = _expected(run)
    model = init_model(mmseg_config(path), checkpoint, device='cpu')
    for image, sample in zip(images, inference_model(model, images), strict=True):
        assert np.array_equal(sample.pred_sem_seg.data[0].numpy(), expected[image])
    shown = show_result_pyplot(model, images[0], sample, show=False, draw_gt=False)
    assert shown.shape == (48, 48, 3)
    inferencer = MMSegInferencer(
        mmseg_config(path), checkpoint, device='cpu', show_progress=False
    )
    found = inferencer(images, out_dir=str(tmp_path))['predictions']
    for image, mask in zip(images, found, strict=True):
        assert np.array_equal(mask, expected[image])
    assert len(list((tmp_path / 'vis').iterdir())) == len(images)
    # Arrays are in the order of OpenCV, as everywhere in mmseg.
    bgr = np.asarray(Image.open(images[0]))[..., ::-1].copy()
    assert np.array_equal(inferencer(bgr)['predictions'], expected[images[0]])


def test_a_config_for_mmseg_is_a_copy(run):
    cfg = Config.fromfile(run[0])
    before = copy.deepcopy(cfg.to_dict())
    changed = mmseg_config(cfg)
    assert cfg.to_dict() == before
    kinds = [step['type'] for step in changed.test_pipeline]
    assert kinds == ['LoadImageFromFile', 'PackSegInputs']


def test_models_of_several_data_sets_are_to_be_folded_first():
    path = ROOT / 'configs/finetune_seg/mdf_vit-t_dubai-korea-hrsc.py'
    with pytest.raises(ValueError, match='fold_experts.py first'):
        mmseg_config(str(path))


def test_export_computes_the_same(run):
    """What ``torch.onnx.export`` starts from."""
    path, checkpoint, _ = run
    model = init_model(path, checkpoint, device='cpu')
    images = torch.randn(1, 3, 48, 64)
    exported = torch.export.export(model, (images,)).module()
    torch.testing.assert_close(exported(images), model(images))


def test_onnx_runtime_computes_the_same(run, tmp_path):
    runtime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    path, checkpoint, _ = run
    model = init_model(path, checkpoint, device='cpu')
    images = torch.randn(1, 3, 48, 64)
    file = str(tmp_path / 'model.onnx')
    torch.onnx.export(model, (images,), file, input_names=['image'])
    (found,) = runtime.InferenceSession(file).run(None, {'image': images.numpy()})
    torch.testing.assert_close(
        torch.from_numpy(found), model(images).detach(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    'line',
    [
        'model.segmentor.backbone.frozen_stages=4',
        'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0',
    ],
)
def test_the_backbone_stays_what_it_is(scenes, tmp_path, line):
    key, value = line.split('=')
    cfg = toy_config(scenes, custom_hooks=[], **_SHORT)
    cfg.merge_from_dict({key: int(value)})
    cfg.model.semi_train_cfg.update(burn_in=0)
    runner = train(cfg, tmp_path)
    first = Runner.from_cfg(_untrained(cfg, tmp_path / 'untrained'))
    first.model.init_weights()
    before = first.model.state_dict()
    moved = {
        name
        for name, value in runner.model.state_dict().items()
        if name.startswith('student.') and not torch.equal(value, before[name])
    }
    assert 'student.decode_head.conv_seg.weight' in moved
    layers = {name for name in moved if name.startswith('student.backbone.layers')}
    assert not layers


def _untrained(cfg, folder):
    cfg = copy.deepcopy(cfg)
    cfg.work_dir, cfg.experiment_name = str(folder), folder.name
    return cfg
