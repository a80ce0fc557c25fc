"""FixMatch against its equations, written out in numpy and fp64."""

import copy
import math
import re

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from s5_mm.models.data_preprocessors import MixPlan, rectangles_to_mask
from s5_mm.models.mixing import Mixing
from s5_mm.models.pseudo_labels import PseudoLabels
from s5_mm.models.segmentors import FixMatch, SemiBaseSegmentor
from s5_mm.utils import SampleKey

from ..toys import toy_segmentor

K, H, W = 4, 16, 24


def _model(seed=0, norm='bn', auxiliary=False, cls=FixMatch, **train_cfg):
    torch.manual_seed(seed)
    model = cls(toy_segmentor(norm, K, auxiliary), train_cfg)
    model.init_weights()
    # Spread the logits so that a low threshold passes some pixels and not others.
    model.student.decode_head.conv_seg.weight.data.mul_(300)
    if model.teacher is not None:
        model.teacher.load_state_dict(model.student.state_dict())
    return model.double().train()


def _batch(seed=0, separate=False):
    generator = torch.Generator().manual_seed(seed)
    views = 4 if separate else 2
    inputs = dict(
        sup=torch.randn(2, 3, H, W, generator=generator),
        unsup_weak=torch.randn(views, 3, H, W, generator=generator),
        unsup_strong=torch.randn(2, 3, H, W, generator=generator),
    )
    inputs = {name: images.double() for name, images in inputs.items()}
    labels = torch.randint(0, K, (2, 1, H, W), generator=generator).to(torch.uint8)
    labels[0, :, :3] = 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
    rectangles = torch.tensor([[0, 0, 20, H], [4, 2, W, H]] * (views // 2))
    mix = MixPlan(
        region=rectangles_to_mask(torch.tensor([[2, 3, 12, 9], [8, 0, 24, 8]]), H, W),
        partner=torch.tensor([2, 3] if separate else [1, 0]),
        valid=rectangles_to_mask(rectangles, H, W),
    )
    return inputs, dict(sup=samples), mix


def _softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _expected(model, inputs, samples, mix, teacher=None):
    """Eq. 5-7 pixel by pixel, from the networks' logits."""
    cfg = model.train_cfg
    teacher = copy.deepcopy(teacher or model.student).eval()
    student = copy.deepcopy(model.student).train()

    def full(network, images):
        logits = network.decode_head(network.extract_feat(images))
        logits = F.interpolate(logits, size=(H, W), mode='bilinear')
        return logits.detach().numpy()

    p_weak = _softmax(full(teacher, inputs['unsup_weak']))
    both = full(student, torch.cat([inputs['sup'], inputs['unsup_strong']]))
    p_sup, p_strong = _softmax(both[:2]), _softmax(both[2:])
    labels = torch.cat([s.gt_sem_seg.data for s in samples['sup']]).numpy()
    valid = mix.valid.numpy()

    sup, sup_pixels = 0.0, 0
    unsup, valid_pixels, confident_pixels = [0.0, 0.0], [0, 0], 0
    counts = np.zeros(K + 1, dtype=int)
    for i in range(2):
        for y in range(H):
            for x in range(W):
                if labels[i, y, x] != 255:
                    sup -= math.log(p_sup[i, labels[i, y, x], y, x])
                    sup_pixels += 1
                row = int(mix.partner[i]) if mix.region[i, y, x] else i
                if not valid[row, y, x]:
                    continue
                valid_pixels[i] += 1
                p = p_weak[row, :, y, x]
                if p.max() >= cfg['conf_thresh']:
                    confident_pixels += 1
                    counts[p.argmax()] += 1
                    unsup[i] -= math.log(p_strong[i, p.argmax(), y, x])
    counts[K] = sum(valid_pixels)
    loss_unsup = {
        'valid': sum(unsup) / sum(valid_pixels),
        'confident': sum(unsup) / max(confident_pixels, 1),
        'image': np.mean([u / v for u, v in zip(unsup, valid_pixels, strict=True)]),
    }[cfg['normalization']]
    scale = 0.5 if cfg['average_losses'] else 1.0
    return dict(
        loss_sup=scale * sup / sup_pixels,
        loss_unsup=scale * cfg['unsup_weight'] * loss_unsup,
        mask_ratio=confident_pixels / sum(valid_pixels),
        counts=counts,
    )


@pytest.mark.parametrize(
    'train_cfg',
    [
        dict(conf_thresh=0.6),
        dict(conf_thresh=0.6, normalization='confident'),
        dict(conf_thresh=0.6, normalization='image', unsup_weight=0.5),
        dict(conf_thresh=0.8, average_losses=True),
        dict(conf_thresh=1.0),
        dict(conf_thresh=0.0),
    ],
)
@pytest.mark.parametrize('separate', [False, True])
def test_losses_are_the_equations(train_cfg, separate):
    model = _model(**train_cfg)
    inputs, samples, mix = _batch(separate=separate)
    want = _expected(model, inputs, samples, mix)
    got = model(inputs, samples, mode='loss', mix=mix)
    for name in ('loss_sup', 'loss_unsup', 'mask_ratio'):
        assert got[name].item() == pytest.approx(want[name], rel=1e-12, abs=1e-15)
    assert model.pseudo_counts.tolist() == want['counts'].tolist()
    if train_cfg['conf_thresh'] in (0.6, 0.8):
        assert 0.05 < got['mask_ratio'] < 0.95, 'the threshold separates nothing'
    loss, log_vars = model.parse_losses(got)
    assert loss.item() == pytest.approx(want['loss_sup'] + want['loss_unsup'])
    assert set(log_vars) == {'loss', 'loss_sup', 'loss_unsup', 'mask_ratio'}


def test_counts_are_read_once():
    model = _model(conf_thresh=0.6)
    model(*_batch()[:2], mode='loss', mix=_batch()[2])
    first = model.read_pseudo_counts()
    assert first[-1] > first[:-1].sum() > 0
    assert not model.read_pseudo_counts().any()


def test_teacher_is_gradient_free_and_leaves_the_statistics_alone():
    model = _model(conf_thresh=0.6)
    inputs, _, mix = _batch()
    before = copy.deepcopy(model.state_dict())
    pseudo = model.pseudo_labels(inputs['unsup_weak'], mix)
    assert not pseudo.confidence.requires_grad
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(part.training for part in model.modules())


def test_one_student_call_on_both_halves():
    model = _model()
    calls = []
    model.student.backbone.register_forward_hook(
        lambda module, args, _: calls.append((module.training, len(args[0])))
    )
    inputs, samples, mix = _batch()
    model(inputs, samples, mode='loss', mix=mix)
    assert calls == [(False, 2), (True, 4)]


def test_unsupervised_gradient_vanishes_above_every_confidence():
    model = _model(conf_thresh=1.0, norm='none')
    inputs, samples, mix = _batch()
    losses = model(inputs, samples, mode='loss', mix=mix)
    gradients = torch.autograd.grad(losses['loss_unsup'], list(model.parameters()))
    assert not any(gradient.any() for gradient in gradients)


@pytest.fixture
def hub():
    """The hub that says which iteration of how many it is."""
    MessageHub._instance_dict.clear()
    yield MessageHub.get_current_instance()
    MessageHub._instance_dict.clear()


@pytest.mark.parametrize('buffers', ['average', 'copy'])
def test_ema_teacher_follows_the_recurrence(hub, buffers):
    """A copy until the burn-in ends, then the mean of all, then a moving average."""
    model = _model(ema_momentum=0.6, conf_thresh=0.5, burn_in=2, ema_buffers=buffers)
    optimizer = torch.optim.SGD(model.student.parameters(), lr=0.1)
    teacher = copy.deepcopy(model.student)
    momenta = [0, 0, 0, 1 / 2, 0.6, 0.6]
    for step, m in enumerate(momenta):
        hub.update_info('iter', step)
        state, new = teacher.state_dict(), model.student.state_dict()
        statistics = {name for name, _ in teacher.named_buffers()}
        for key, value in state.items():
            mean = m * value + (1 - m) * new[key]
            copied = key in statistics and buffers == 'copy'
            counter = not value.is_floating_point()
            value.copy_(new[key] if copied or counter else mean)
        inputs, samples, mix = _batch(step)
        losses = model(inputs, samples, mode='loss', mix=mix)
        assert ('loss_unsup' in losses) == (step >= 2)
        if step >= 2:
            want = _expected(model, inputs, samples, mix, teacher)
            assert losses['loss_unsup'].item() == pytest.approx(
                want['loss_unsup'], rel=1e-11
            )
        optimizer.zero_grad()
        model.parse_losses(losses)[0].backward()
        optimizer.step()
    for key, want in teacher.state_dict().items():
        own = model.teacher.state_dict()[key]
        torch.testing.assert_close(own, want, atol=1e-12, rtol=0)
    assert all(own.grad is None for own in model.teacher.parameters())
    assert not any(part.training for part in model.teacher.modules())


@pytest.mark.parametrize(
    ('settings', 'factors'),
    [
        (dict(burn_in=0.5, ramp=0.25), [0] * 4 + [1 / 2, 1, 1, 1]),
        (dict(burn_in=3, ramp=4), [0] * 3 + [1 / 4, 1 / 2, 3 / 4, 1, 1]),
        (dict(ramp=2), [1 / 2] + [1] * 7),
        (dict(burn_in=6), [0] * 6 + [1, 1]),
    ],
)
def test_burn_in_and_ramp_of_eight_iterations(hub, settings, factors):
    hub.update_info('max_iters', 8)
    inputs, samples, mix = _batch()
    whole = _model(conf_thresh=0.6, norm='none')
    want = whole(inputs, samples, mode='loss', mix=mix)['loss_unsup'].item()
    model = _model(conf_thresh=0.6, norm='none', **settings)
    for step, factor in enumerate(factors):
        hub.update_info('iter', step)
        losses = model(inputs, samples, mode='loss', mix=mix)
        assert ('loss_unsup' in losses) == (factor > 0)
        if factor:
            assert losses['loss_unsup'].item() == pytest.approx(factor * want)


@pytest.mark.parametrize(
    ('settings', 'length', 'message'),
    [
        (dict(burn_in=8), 8, 'burn_in=8 and ramp=0 take 8 iterations, the training ha'),
        (dict(burn_in=0.9, ramp=2), 10, 'burn_in=0.9 and ramp=2 take 11 iterations, t'),
        (
            dict(burn_in=0.5),
            None,
            'has the share 0.5 of a training whose length is not',
        ),
    ],
)
def test_schedules_that_do_not_fit_are_refused(hub, settings, length, message):
    if length:
        hub.update_info('max_iters', length)
    inputs, samples, mix = _batch()
    with pytest.raises(ValueError, match=re.escape(message)):
        _model(**settings)(inputs, samples, mode='loss', mix=mix)


def test_a_batch_without_its_mix_is_refused():
    inputs, samples, _ = _batch()
    with pytest.raises(ValueError, match='FixMatch: the batch has no mix, expected'):
        _model()(inputs, samples, mode='loss')


def test_without_a_threshold_every_valid_pixel_counts():
    inputs, samples, mix = _batch()
    none = _model(threshold=dict(type='s5_mm.NoThreshold'))
    zero = _model(conf_thresh=0.0)
    got = none(inputs, samples, mode='loss', mix=mix)
    want = zero(inputs, samples, mode='loss', mix=mix)
    assert got['loss_unsup'] == want['loss_unsup']
    assert got['mask_ratio'] == 1


def _soft_loss(model, inputs, mix):
    """-sum_k p_k^uw log p_k^us over the pixels that count, pixel by pixel."""
    cfg = model.train_cfg

    def probabilities(network, images):
        logits = network.decode_head(network.extract_feat(images))
        logits = F.interpolate(logits, size=(H, W), mode='bilinear')
        return _softmax(logits.detach().numpy())

    p_weak = probabilities(copy.deepcopy(model.student).eval(), inputs['unsup_weak'])
    both = torch.cat([inputs['sup'], inputs['unsup_strong']])
    p_strong = probabilities(copy.deepcopy(model.student).train(), both)[2:]
    total, pixels = 0.0, 0
    for i, y, x in np.ndindex(2, H, W):
        row = int(mix.partner[i]) if mix.region[i, y, x] else i
        if mix.valid[row, y, x]:
            pixels += 1
            target = p_weak[row, :, y, x]
            if target.max() >= cfg['conf_thresh']:
                total -= (target * np.log(p_strong[i, :, y, x])).sum()
    return total / pixels


@pytest.mark.parametrize('separate', [False, True])
def test_soft_targets_are_the_teachers_distribution(separate):
    inputs, samples, mix = _batch(separate=separate)
    model = _model(conf_thresh=0.6, soft_targets=True)
    want = _soft_loss(model, inputs, mix)
    got = model(inputs, samples, mode='loss', mix=mix)
    assert got['loss_unsup'].item() == pytest.approx(want, rel=1e-11)
    hard = _model(conf_thresh=0.6)(inputs, samples, mode='loss', mix=mix)
    assert got['loss_unsup'] > 1.05 * hard['loss_unsup']
    assert got['mask_ratio'] == hard['mask_ratio']


def test_supervised_twin_has_the_same_supervised_loss():
    inputs, samples, mix = _batch()
    twin = _model(norm='none', cls=SemiBaseSegmentor)
    model = _model(norm='none')
    got = twin(dict(sup=inputs['sup']), samples, mode='loss')
    want = model(inputs, samples, mode='loss', mix=mix)
    assert set(got) == {'loss_sup'}
    torch.testing.assert_close(got['loss_sup'], want['loss_sup'], atol=1e-13, rtol=0)


def test_auxiliary_heads_see_the_labelled_half_only():
    model = _model(auxiliary=True, norm='none')
    inputs, samples, mix = _batch()
    first = model(inputs, samples, mode='loss', mix=mix)
    inputs['unsup_strong'] = inputs['unsup_strong'] + 1
    second = model(inputs, samples, mode='loss', mix=mix)
    assert first['aux.loss_ce'] == second['aux.loss_ce']
    assert first['loss_unsup'] != second['loss_unsup']


def test_bf16_autocast_covers_teacher_and_student():
    model = _model(conf_thresh=0.5).float()
    inputs, samples, mix = _batch()
    inputs = {name: images.float() for name, images in inputs.items()}
    dtypes = []
    model.student.decode_head.conv_seg.register_forward_hook(
        lambda *args: dtypes.append(args[-1].dtype)
    )
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(inputs, samples, mode='loss', mix=mix)
    assert dtypes == [torch.bfloat16, torch.bfloat16]
    assert losses['loss_unsup'].dtype == torch.float32


# -- checkpoints ---------------------------------------------------------------------
def test_bare_segmentor_fills_student_and_teacher():
    source = _model(seed=1).student.state_dict()
    model = _model(seed=2, ema_momentum=0.99)
    result = model.load_state_dict(dict(source))
    assert not result.missing_keys
    assert not result.unexpected_keys
    for network in (model.student, model.teacher):
        for key, value in network.state_dict().items():
            assert torch.equal(value, source[key]), key


def test_run_with_teacher_loads_into_one_without_and_back():
    with_teacher, without = _model(seed=1, ema_momentum=0.9), _model(seed=2)
    without.load_state_dict(dict(with_teacher.state_dict()))
    fresh = _model(seed=3, ema_momentum=0.9)
    fresh.load_state_dict(dict(without.state_dict()))
    want = with_teacher.student.state_dict()
    for key, value in fresh.teacher.state_dict().items():
        assert torch.equal(value, want[key]), key


# -- prediction ----------------------------------------------------------------------
@pytest.mark.parametrize('network', ['student', 'teacher'])
def test_prediction_comes_from_the_network_that_was_asked_for(network):
    model = FixMatch(
        toy_segmentor(), dict(ema_momentum=0.9), semi_test_cfg=dict(predict_on=network)
    ).eval()
    torch.nn.init.normal_(model.teacher.decode_head.conv_seg.weight)
    images = torch.randn(1, 3, H, W)
    got = model(images, mode='predict')[0].seg_logits.data
    want = getattr(model, network).predict(images)[0].seg_logits.data
    assert torch.equal(got, want)
    assert model.decode_head is getattr(model, network).decode_head
    assert model.out_channels == K


# -- errors --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(semi_train_cfg=dict(conf_tresh=0.9)), r"unknown keys \['conf_tresh'\]"),
        (dict(semi_train_cfg=dict(conf_thresh=1.2)), 'conf_thresh must be in'),
        (dict(semi_train_cfg=dict(normalization='sum')), 'normalization must be'),
        (
            dict(semi_train_cfg=dict(soft_targets=0.5)),
            'soft_targets must be True or False',
        ),
        (dict(semi_train_cfg=dict(ema_buffers='mean')), 'ema_buffers must be one of'),
        (
            dict(semi_train_cfg=dict(ema_momentum=-0.1)),
            r'ema_momentum must be in \[0, 1',
        ),
        (
            dict(semi_train_cfg=dict(burn_in=-1)),
            'burn_in must be a number of iteration',
        ),
        (
            dict(semi_train_cfg=dict(burn_in=1.0)),
            'burn_in must be a number of iteratio',
        ),
        (dict(semi_train_cfg=dict(ramp='0.1')), 'ramp must be a number of iterations'),
        (
            dict(
                semi_train_cfg=dict(
                    conf_thresh=0.5, threshold=dict(type='s5_mm.NoThreshold')
                )
            ),
            'has conf_thresh=0.5 and threshold=',
        ),
        (
            dict(
                semi_train_cfg=dict(
                    threshold=dict(type='s5_mm.FixedThreshold', value=-1)
                )
            ),
            r'threshold.value must be in \[0, 1\], got -1',
        ),
        (dict(semi_train_cfg=dict(unsup_weight=-0.5)), 'unsup_weight must be a num'),
        (dict(semi_train_cfg=dict(unsup_weight=None)), 'unsup_weight must be a num'),
        (dict(semi_test_cfg=dict(predict_on='both')), 'predict_on must be'),
        (
            dict(semi_test_cfg=dict(predict_on='teacher')),
            r'set semi_train_cfg\.ema_momentum',
        ),
        (dict(init_cfg=dict(type='Pretrained')), 'takes no init_cfg'),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FixMatch(toy_segmentor(), **arguments)


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
    inputs, samples, mix = _batch()
    keys = [SampleKey(0, 1, i) for i in range(2)]
    samples['unsup'] = [SegDataSample(metainfo=dict(sample_key=key)) for key in keys]
    return inputs, samples, mix, keys


def test_student_is_trained_on_what_mixing_makes():
    inputs, samples, mix, keys = _mixing_batch()
    model = _model(conf_thresh=0.6, norm='none')
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
    truth, p = labels[0].numpy(), _softmax(logits)[0]
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
    model = _model(burn_in=1)
    model.mixing = spy = _Spy(K)
    model(inputs, samples, mode='loss', mix=mix)
    assert len(spy.labels) == 1
    assert not spy.seen


@pytest.mark.parametrize('name', ['ClassMix', 'LabelledCopyPaste'])
def test_mixings_train(name):
    inputs, samples, mix, _ = _mixing_batch()
    model = _model(threshold=dict(type='s5_mm.NoThreshold'), conf_thresh=None)
    plain = model(inputs, samples, mode='loss', mix=mix)['loss_unsup']
    mixing = dict(type=f's5_mm.{name}', prob=0.5)
    model = _model(
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
    model = _model(mixing=mixing)
    model.mixing.pixels += 3
    state = model.state_dict()
    same = _model(mixing=mixing)
    same.load_state_dict(state)
    assert same.mixing.pixels.tolist() == [3] * K
    _model(mixing=dict(type='s5_mm.ClassMix')).load_state_dict(state)
    plain = _model()
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
