"""Validation and test report both networks of FixMatch, from one pass over the data."""

import copy
import json
import re
import uuid

import cv2
import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.visualization import SegLocalVisualizer

from s5_mm.checkpoints import install_safe_loader
from s5_mm.datasets import SegDataset
from s5_mm.engine.loops import StudentTeacherValLoop
from s5_mm.engine.loops.student_teacher_evaluator import without_files
from s5_mm.registry import METRICS

from ..support.distributed import run_ranks
from .toy_s4p import toy_config, train

NAMES = ('field', 'road', 'building', 'water', 'tree', 'vehicle')
SIZES = ((48, 48), (40, 56), (48, 48), (37, 51), (40, 56))


@pytest.fixture(scope='module')
def mixed(tmp_path_factory):
    """Folder with validation images of several sizes, some pixels without label."""
    root = tmp_path_factory.mktemp('mixed')
    rng = np.random.default_rng(3)
    for kind in ('img_dir', 'ann_dir'):
        (root / kind / 'val').mkdir(parents=True)
        (root / kind / 'train').mkdir()
    (root / 'unlabelled').mkdir()
    for number, size in enumerate(SIZES):
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        mask = rng.choice([0, 1, 2, 3, 4, 5, 255], size).astype(np.uint8)
        cv2.imwrite(str(root / f'img_dir/val/{number}.png'), image)
        cv2.imwrite(str(root / f'ann_dir/val/{number}.png'), mask)
    return root


@METRICS.register_module()
class KeptPredictions(BaseMetric):
    """Remembers the predictions of each evaluation as mmengine's collector has them."""

    def process(self, data_batch, data_samples):
        self.results += [
            (sample['img_path'], sample['pred_sem_seg']['data'][0].numpy().copy())
            for sample in data_samples
        ]

    def compute_metrics(self, results):
        return {'kept': results}


class _Watch(Hook):
    """Keeps what hooks get to see."""

    def __init__(self):
        self.seen = {}

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        for sample in outputs:
            self.seen[sample.img_path] = sample.pred_sem_seg.data[0].numpy().copy()

    after_test_iter = after_val_iter


def _config(root, predict_on='student', **changes):
    cfg = toy_config(root, **changes)
    cfg.model.semi_test_cfg = dict(predict_on=predict_on)
    cfg.model.data_preprocessor.test_cfg = dict(size_divisor=8)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.batch_size = 4
    cfg.custom_hooks = []
    return cfg


def _runner(cfg, work_dir):
    """A runner whose networks differ from each other and from the start."""
    install_safe_loader()
    cfg = copy.deepcopy(cfg)
    cfg.work_dir, cfg.experiment_name = str(work_dir), uuid.uuid4().hex
    runner = Runner.from_cfg(cfg)
    generator = torch.Generator().manual_seed(11)
    for parameter in runner.model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data += 0.2 * noise
    runner.model.eval()
    return runner


def _figures(network, preprocessor, root):
    """mIoU and OA of a network image by image, in plain numpy."""
    confusion = np.zeros((6, 6), dtype=np.int64)
    for path in sorted((root / 'img_dir/val').iterdir()):
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(root / 'ann_dir/val' / path.name), cv2.IMREAD_UNCHANGED)
        height, width = mask.shape
        pad = (0, -width % 8, 0, -height % 8)
        pixels = torch.from_numpy(image).permute(2, 0, 1).float()
        pixels = (pixels - preprocessor.mean.cpu()) / preprocessor.std.cpu()
        pixels = torch.nn.functional.pad(pixels, pad)[None]
        with torch.no_grad():
            logits = network.decode_head(network.extract_feat(pixels))
        logits = torch.nn.functional.interpolate(
            logits, pixels.shape[-2:], mode='bilinear'
        )
        predicted = logits[0, :, :height, :width].argmax(0).numpy()
        for true, guess in zip(mask.ravel(), predicted.ravel(), strict=True):
            if true != 255:
                confusion[true, guess] += 1
    hit = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hit
    with np.errstate(invalid='ignore'):
        miou = np.nanmean(hit / union)
    return 100 * miou, 100 * hit.sum() / confusion.sum()


@pytest.mark.parametrize('mode', ['val', 'test'])
@pytest.mark.parametrize('predict_on', ['student', 'teacher'])
def test_both_networks_have_the_figures_of_a_plain_evaluation(
    mixed, tmp_path, predict_on, mode
):
    runner = _runner(_config(mixed, predict_on), tmp_path)
    watch = _Watch()
    runner.register_hook(watch)
    figures = getattr(runner, mode)()
    model = runner.model
    other = 'teacher' if predict_on == 'student' else 'student'
    own = _figures(getattr(model, predict_on), model.data_preprocessor, mixed)
    theirs = _figures(getattr(model, other), model.data_preprocessor, mixed)
    assert abs(own[0] - theirs[0]) > 0.2, 'the test cannot tell the networks apart'
    for prefix, want in (('', own), (f'{other}/', theirs)):
        got = figures[f'{prefix}mIoU'], figures[f'{prefix}OA']
        assert got == pytest.approx(want, abs=0.02)
    assert {key.removeprefix(f'{other}/') for key in figures} == {
        key for key in figures if not key.startswith(f'{other}/')
    }
    assert next(iter(figures)) == 'mIoU'  # what save_best='auto' takes
    assert model.test_cfg['predict_on'] == predict_on
    # Hooks, pictures among them, get the predicting network's masks.
    assert len(watch.seen) == len(SIZES)
    samples = runner.val_dataloader.dataset
    for index in range(len(samples)):
        sample = samples[index]
        batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
        with torch.no_grad():
            (want,) = model.test_step(batch)
        assert np.array_equal(
            watch.seen[want.img_path], want.pred_sem_seg.data[0].numpy()
        )


def test_each_image_is_read_once(mixed, tmp_path, monkeypatch):
    runner = _runner(_config(mixed), tmp_path)
    reads, plain = [], SegDataset.__getitem__
    monkeypatch.setattr(
        SegDataset,
        '__getitem__',
        lambda self, index: reads.append(int(index)) or plain(self, index),
    )
    runner.val()
    assert sorted(reads) == list(range(len(SIZES)))


def test_without_teacher_it_is_the_plain_loop(mixed, tmp_path):
    cfg = _config(mixed, model__semi_train_cfg__ema_momentum=None)
    figures = _runner(cfg, tmp_path / 'a').val()
    cfg.val_cfg = dict(type='ValLoop')
    assert figures == _runner(cfg, tmp_path / 'b').val()
    assert not any('teacher' in key or 'student' in key for key in figures)


def test_a_model_that_knows_no_teacher_is_evaluated(mixed, tmp_path):
    cfg = _config(mixed)
    cfg.model.segmentor.data_preprocessor = dict(
        type='SegDataPreProcessor', size=(32, 32), test_cfg=dict(size_divisor=8)
    )
    cfg.model = cfg.model.segmentor
    cfg.val_dataloader.batch_size = 1
    figures = _runner(cfg, tmp_path).val()
    assert 'mIoU' in figures
    assert not any('teacher' in key for key in figures)


def test_masks_are_those_of_the_predicting_network(mixed, tmp_path):
    cfg = _config(mixed, 'teacher')
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator.update(output_dir=str(tmp_path / 'masks'), keep_results=True)
    runner = _runner(cfg, tmp_path / 'run')
    watch = _Watch()
    runner.register_hook(watch)
    figures = runner.test()
    assert 'student/mIoU' in figures
    written = sorted((tmp_path / 'masks').iterdir())
    assert [path.stem for path in written] == [str(i) for i in range(len(SIZES))]
    for path in written:
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        (seen,) = (own for name, own in watch.seen.items() if f'/{path.name}' in name)
        assert np.array_equal(mask, seen)


def test_images_without_truth_have_no_figures_of_anybody(mixed, tmp_path):
    cfg = _config(mixed)
    cfg.test_evaluator.update(output_dir=str(tmp_path / 'masks'), format_only=True)
    assert _runner(cfg, tmp_path / 'run').test() == {}


@pytest.mark.parametrize(
    ('config', 'want'),
    [
        (dict(type='M', output_dir='a', archive='b', x=1), dict(type='M', x=1)),
        (dict(type='M', output_dir='a', format_only=True), None),
        ([dict(type='M'), dict(type='D', out_file_path='a.pkl')], [dict(type='M')]),
        ([dict(type='D', out_file_path='a.pkl')], None),
        ([], None),
        (
            dict(
                type='s5_mm.MultiDatasetMetric',
                metrics=dict(
                    a=dict(type='M', output_dir='a', keep_results=True),
                    b=dict(type='M', output_dir='b', format_only=True),
                ),
            ),
            dict(type='s5_mm.MultiDatasetMetric', metrics=dict(a=dict(type='M'))),
        ),
        (dict(type='Evaluator', metrics=[dict(type='M', format_only=True)]), None),
        (dict(type='Evaluator', metrics=dict(type='M')), ...),
    ],
)
def test_metrics_of_the_other_network_write_no_files(config, want):
    before = copy.deepcopy(config)
    got = without_files(config)
    assert config == before
    assert got == (config if want is ... else want)


def test_predictions_kept_by_a_metric_are_each_networks_own(mixed, tmp_path):
    """A metric may hold on to samples until the end, when both have predicted."""
    cfg = _config(mixed)
    cfg.val_evaluator = dict(type='s5_mm.KeptPredictions')
    figures = _runner(cfg, tmp_path).val()
    assert [name for name, _ in figures['kept']] == [
        name for name, _ in figures['teacher/kept']
    ]
    assert not all(
        np.array_equal(mine, theirs)
        for (_, mine), (_, theirs) in zip(
            figures['kept'], figures['teacher/kept'], strict=True
        )
    )


def test_a_built_evaluator_is_refused(mixed, tmp_path):
    cfg = _config(mixed)
    runner = _runner(cfg, tmp_path)
    evaluator = Evaluator(dict(type='s5_mm.SegmentationMetric'))
    message = 'val_evaluator is a Evaluator, expected its config'
    with pytest.raises(TypeError, match=message):
        StudentTeacherValLoop(runner, cfg.val_dataloader, evaluator)


def test_both_are_logged_by_a_training(scenes, tmp_path):
    cfg = toy_config(scenes, default_hooks__checkpoint__save_best='mIoU')
    SegLocalVisualizer._instance_dict.clear()  # one of an earlier run writes elsewhere
    runner = train(cfg, tmp_path)
    assert any(
        not torch.equal(own, new)
        for own, new in zip(
            runner.model.teacher.parameters(),
            runner.model.student.parameters(),
            strict=True,
        )
    )
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    lines = [line for line in lines if 'mIoU' in line]
    assert [line['step'] for line in lines] == [5, 10, 12]
    last = lines[-1]
    (log,) = tmp_path.glob('*/*.log')
    text = log.read_text()
    for name, prefix in (('student', ''), ('teacher', 'teacher/')):
        # A line with the figures of all classes, and a table with its owner's name.
        line = ', '.join(
            f'{key} {last[prefix + key]:.2f}' for key in ('mIoU', 'mF1', 'mAcc', 'OA')
        )
        assert text.count(f'{name}: {line}\n') >= 1
        assert text.count(f'{name}, per class, in %:') == 3
        assert all(f'{prefix}IoU/{own}' in last for own in NAMES)
    assert re.search(r'Iter\(val\).* mIoU: [\d.]+.*teacher/mIoU: ', text)
    (best,) = tmp_path.glob('best_*')
    assert best.name.startswith('best_mIoU_iter_')


def _validate(rank, world, root, work_dir):
    changes = dict(env_cfg__dist_cfg__backend='gloo')
    if world > 1:
        changes['launcher'] = 'pytorch'
    cfg = _config(root, **changes)
    # Of one batch each, of which the second process has the shorter.
    cfg.val_dataloader.batch_size = 3
    return _runner(cfg, work_dir).val()


def test_two_processes_find_the_same_figures(mixed, tmp_path):
    alone = _validate(0, 1, mixed, tmp_path / 'alone')
    both = run_ranks(_validate, 2, tmp_path, mixed, tmp_path / 'both')
    assert both == [alone, alone]
    assert 'teacher/mIoU' in alone
