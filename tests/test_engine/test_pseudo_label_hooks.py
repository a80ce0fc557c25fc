"""What is said and drawn about the unlabelled branch."""

import logging
import types

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from s5_mm.engine.hooks import (
    PseudoLabelStatsHook,
    PseudoLabelVisHook,
    pseudo_label_vis_hook,
)
from s5_mm.models.data_preprocessors import MultiBranchDataPreprocessor
from s5_mm.models.segmentors import FixMatch
from s5_mm.testing.toy import toy_segmentor
from s5_mm.utils import SampleKey

CLASSES = ('field', 'road', 'roof', 'water', 'tree', 'car')
PALETTE = [[40 * i, 255 - 40 * i, 90] for i in range(6)]


class _Visualizer:
    def __init__(self):
        self.scalars, self.images = [], []

    def add_scalars(self, scalars, step):
        self.scalars.append((step, scalars))

    def add_image(self, name, image, step):
        self.images.append((name, step, image))


def _runner(model, iteration=9):
    dataset = types.SimpleNamespace(metainfo=dict(classes=CLASSES, palette=PALETTE))
    wrapper = types.SimpleNamespace(
        optim_context=lambda model: torch.autocast('cpu', torch.bfloat16)
    )
    return types.SimpleNamespace(
        model=model,
        iter=iteration,
        visualizer=_Visualizer(),
        logger=logging.getLogger('s5_mm_test'),
        optim_wrapper=wrapper,
        train_dataloader=types.SimpleNamespace(dataset=dataset),
    )


def _model(cutmix=dict(type='s5_mm.CutMix'), **train_cfg):  # noqa: B006
    preprocessor = MultiBranchDataPreprocessor(
        mean=[120.0] * 3,
        std=[60.0] * 3,
        strong=dict(type='s5_mm.StrongAugment'),
        cutmix=cutmix,
    )
    torch.manual_seed(0)
    segmentor = ConfigDict(toy_segmentor())
    model = FixMatch(segmentor, train_cfg, data_preprocessor=preprocessor)
    model.init_weights()
    return model.train()


def _batch():
    samples = dict(sup=[], unsup=[])
    for i in range(4):
        for source, listed in enumerate(samples.values()):
            meta = dict(sample_key=SampleKey(0, source, i), img_path=f'a/{i}.png')
            listed.append(SegDataSample(metainfo=meta))
        truth = torch.zeros(1, 32, 32, dtype=torch.uint8)
        samples['sup'][-1].gt_sem_seg = PixelData(data=truth)
    images = torch.randint(0, 256, (4, 3, 32, 32)).to(torch.uint8)
    return dict(inputs=dict(sup=images, unsup=images), data_samples=samples)


def test_shares_of_the_classes_are_logged(caplog):
    model = _model()
    model.pseudo_counts.copy_(torch.tensor([30, 10, 0, 0, 0, 0, 80]))
    runner = _runner(model)
    with caplog.at_level(logging.INFO, 's5_mm_test'):
        PseudoLabelStatsHook(interval=10).after_train_iter(runner, 9)
    ((step, scalars),) = runner.visualizer.scalars
    assert step == 10
    assert scalars['pseudo/mask_ratio'] == 0.5
    assert scalars['pseudo/share_field'] == 0.75
    assert scalars['pseudo/share_car'] == 0
    assert 'pseudo-labels: 50.0% of pixels used (field 75%, road 25%)' in caplog.text
    assert not model.pseudo_counts.any()


@pytest.mark.parametrize('rule', [dict(), dict(type='s5_mm.SoftMatchWeight')])
def test_picture_shows_what_counts_under_any_rule(rule):
    changes = dict(conf_thresh=None, threshold=rule) if rule else {}
    model, batch = _model(**changes), _batch()
    views = PseudoLabelVisHook()._views(model, batch)
    data = model.data_preprocessor(batch, True)
    pseudo = model.pseudo_labels(data['inputs']['unsup_weak'], data['mix'])
    assert len(views) == len(pseudo.weight)
    for view, weight in zip(views, pseudo.weight, strict=True):
        assert np.array_equal(view.weight, weight.numpy())


def test_burn_in_is_no_reason_to_warn(caplog):
    hook = PseudoLabelStatsHook(interval=10, patience=1)
    runner = _runner(_model())
    hook.after_train_iter(runner, 9)
    assert 'pseudo-label' not in caplog.text
    assert not runner.visualizer.scalars


def test_picture_is_drawn_without_training_noticing():
    model, batch = _model(conf_thresh=0.2), _batch()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    runner = _runner(model)
    PseudoLabelVisHook(interval=10, num_samples=2).after_train_iter(runner, 9, batch)
    ((name, step, image),) = runner.visualizer.images
    assert (name, step) == ('pseudo_labels', 10)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.std() > 0
    assert torch.equal(torch.rand(3), expected), 'a draw was taken from training'
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(part.training for part in model.modules())


def test_picture_shows_what_the_student_is_trained_on(monkeypatch):
    """ClassMix as it is done in the iteration, strong views and labels."""
    mixing = dict(type='s5_mm.ClassMix', prob=1.0)
    model, batch = _model(cutmix=None, conf_thresh=0.0, mixing=mixing), _batch()
    model.student.decode_head.conv_seg.weight.data.mul_(300)
    drawn = []
    monkeypatch.setattr(
        pseudo_label_vis_hook,
        'pseudo_label_panel',
        lambda views, *args, **kwargs: drawn.extend(views),
    )
    seen = []
    step = model.student_step
    model.student_step = lambda *args: seen.append(args) or step(*args)
    # Before the iteration, whose batch statistics the teacher then has.
    PseudoLabelVisHook(interval=10).after_train_iter(_runner(model), 9, batch)
    with torch.autocast('cpu', torch.bfloat16):
        model(**model.data_preprocessor(batch, True), mode='loss')
    ((_, strong, _, pseudo),) = seen
    unmixed = model.data_preprocessor(batch, True)['inputs']['unsup_strong']
    assert not torch.equal(strong, unmixed)
    assert len(drawn) == 4
    for i, view in enumerate(drawn):
        assert np.array_equal(view.pseudo_label, pseudo.labels[i].numpy())
        want = (strong[i] * 60 + 120).permute(1, 2, 0).numpy()
        assert np.abs(view.strong - want).max() <= 0.51


def test_nothing_is_drawn_between_intervals():
    runner = _runner(_model(), iteration=4)
    PseudoLabelVisHook(interval=10).after_train_iter(runner, 4, _batch())
    PseudoLabelStatsHook(interval=10).after_train_iter(runner, 4)
    assert not runner.visualizer.images
    assert not runner.visualizer.scalars


def test_bad_interval_is_refused():
    with pytest.raises(ValueError, match='interval=0, expected at least 1'):
        PseudoLabelStatsHook(interval=0)
