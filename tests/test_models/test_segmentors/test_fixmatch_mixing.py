"""FixMatch with mixtures: what the student is trained on."""

import math

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from s5_mm.models.mixing import Mixing
from s5_mm.models.pseudo_labels import PseudoLabels
from s5_mm.models.segmentors import FixMatch
from s5_mm.utils import SampleKey

from ..toys import toy_segmentor
from .fixmatch_toys import H, K, W, build, draw_batch, softmax_of


class _Spy(Mixing):
    """Pastes the first labelled image everywhere, and notes what it is given."""

    follows_cutmix = True

    def __init__(self, num_classes):
        super().__init__(num_classes, 1.0)
        self.seen, self.labels = [], []

    def observe_labels(self, labels):
        self.labels.append(labels)

    def forward(self, strong, pseudo, images_l, labels_l, keys):
        self.seen.append((strong, pseudo, images_l, labels_l, keys))
        count = len(strong)
        valid = (labels_l[:1] != 255).expand(count, H, W)
        weight = 0.5 * valid.to(pseudo.weight.dtype)
        labels = labels_l[:1].masked_fill(labels_l[:1] == 255, 0).expand(count, H, W)
        new = PseudoLabels(labels, torch.ones_like(weight), valid, weight)
        return images_l[:1].expand_as(strong), new


def _mixing_batch():
    inputs, samples, mix = draw_batch()
    keys = [SampleKey(0, 1, i) for i in range(2)]
    samples['unsup'] = [SegDataSample(metainfo=dict(sample_key=key)) for key in keys]
    return inputs, samples, mix, keys


def test_student_is_trained_on_what_mixing_makes():
    inputs, samples, mix, keys = _mixing_batch()
    model = build(conf_thresh=0.6, norm='none')
    plain = model(inputs, samples, mode='loss', mix=mix)
    counts = model.read_pseudo_counts()
    model.mixing = spy = _Spy(K)
    losses = model(inputs, samples, mode='loss', mix=mix)
    ((strong, pseudo, images, labels, seen),) = spy.seen
    assert torch.equal(strong, inputs['unsup_strong'])
    assert torch.equal(images, inputs['sup'])
    assert seen == keys
    assert torch.equal(labels, spy.labels[0])
    unmixed = model.pseudo_labels(inputs['unsup_weak'], mix)
    assert all(torch.equal(a, b) for a, b in zip(pseudo[:4], unmixed[:4], strict=True))
    # Eq. 7 on the first labelled image with its truth, each pixel with weight 1/2.
    with torch.no_grad():
        logits = model.student.decode_head(model.student.extract_feat(images[:1]))
    logits = F.interpolate(logits, size=(H, W), mode='bilinear').numpy()
    truth, p = labels[0].numpy(), softmax_of(logits)[0]
    entropies = [
        -math.log(p[truth[y, x], y, x])
        for y in range(H)
        for x in range(W)
        if truth[y, x] != 255
    ]
    assert losses['loss_unsup'].item() == pytest.approx(np.mean(entropies) / 2)
    assert losses['loss_sup'] == plain['loss_sup']
    # What is watched is the teacher, not what was pasted over its predictions.
    assert losses['mask_ratio'] == plain['mask_ratio']
    assert torch.equal(model.read_pseudo_counts(), counts)


def test_mixing_learns_from_labels_during_the_burn_in(hub):
    hub.update_info('iter', 0)
    inputs, samples, mix, _ = _mixing_batch()
    model = build(burn_in=1)
    model.mixing = spy = _Spy(K)
    model(inputs, samples, mode='loss', mix=mix)
    assert len(spy.labels) == 1
    assert not spy.seen


@pytest.mark.parametrize('name', ['ClassMix', 'LabelledCopyPaste'])
def test_mixings_train(name):
    inputs, samples, mix, _ = _mixing_batch()
    model = build(threshold=dict(type='s5_mm.NoThreshold'), conf_thresh=None)
    plain = model(inputs, samples, mode='loss', mix=mix)['loss_unsup']
    mixing = dict(type=f's5_mm.{name}', prob=0.5)
    model = build(
        threshold=dict(type='s5_mm.NoThreshold'), conf_thresh=None, mixing=mixing
    )
    changed = False
    for position in range(8):
        for i, sample in enumerate(samples['unsup']):
            sample.set_metainfo(dict(sample_key=SampleKey(0, 1, 2 * position + i)))
        loss = model(inputs, samples, mode='loss', mix=mix)['loss_unsup']
        changed |= bool(loss != plain)
        loss.backward()
    assert changed
    assert all(p.grad.isfinite().all() for p in model.student.parameters())


def test_a_run_may_go_on_with_another_mixing():
    mixing = dict(type='s5_mm.LabelledCopyPaste')
    model = build(mixing=mixing)
    model.mixing.pixels += 3
    state = model.state_dict()
    same = build(mixing=mixing)
    same.load_state_dict(state)
    assert same.mixing.pixels.tolist() == [3] * K
    build(mixing=dict(type='s5_mm.ClassMix')).load_state_dict(state)
    plain = build()
    plain.load_state_dict(state)
    same.load_state_dict(plain.state_dict())


def test_refused_mixings():
    cutmix = dict(
        type='s5_mm.MultiBranchDataPreprocessor',
        mean=[120.0] * 3,
        std=[60.0] * 3,
        cutmix=dict(type='s5_mm.CutMix'),
    )

    def build(name, **kwargs):
        config = dict(mixing=dict(type=f's5_mm.{name}'))
        return FixMatch(toy_segmentor('bn', K), config, **kwargs)

    with pytest.raises(ValueError, match='is ClassMix, which takes the place of data_'):
        build('ClassMix', data_preprocessor=cutmix)
    build('ClassMix', data_preprocessor=dict(cutmix, cutmix=None))
    build('LabelledCopyPaste', data_preprocessor=cutmix)
    with pytest.raises(
        ValueError, match='is a NoThreshold, expected s5_mm.ClassMix or'
    ):
        build('NoThreshold')
