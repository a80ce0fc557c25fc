"""FixMatch against its equations, written out in numpy and fp64."""

import copy
import math
import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from s5_mm.models.segmentors import SemiBaseSegmentor

from .fixmatch_toys import H, K, W, build, draw_batch, softmax_of


def _expected(model, inputs, samples, mix, teacher=None):
    """Eq. 5-7 pixel by pixel, from the networks' logits."""
    cfg = model.train_cfg
    teacher = copy.deepcopy(teacher or model.student).eval()
    student = copy.deepcopy(model.student).train()

    def full(network, images):
        logits = network.decode_head(network.extract_feat(images))
        logits = F.interpolate(logits, size=(H, W), mode='bilinear')
        return logits.detach().numpy()

    p_weak = softmax_of(full(teacher, inputs['unsup_weak']))
    both = full(student, torch.cat([inputs['sup'], inputs['unsup_strong']]))
    p_sup, p_strong = softmax_of(both[:2]), softmax_of(both[2:])
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
    model = build(**train_cfg)
    inputs, samples, mix = draw_batch(separate=separate)
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
    model = build(conf_thresh=0.6)
    model(*draw_batch()[:2], mode='loss', mix=draw_batch()[2])
    first = model.read_pseudo_counts()
    assert first[-1] > first[:-1].sum() > 0
    assert not model.read_pseudo_counts().any()


def test_teacher_is_gradient_free_and_leaves_the_statistics_alone():
    model = build(conf_thresh=0.6)
    inputs, _, mix = draw_batch()
    before = copy.deepcopy(model.state_dict())
    pseudo = model.pseudo_labels(inputs['unsup_weak'], mix)
    assert not pseudo.confidence.requires_grad
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(part.training for part in model.modules())


def test_one_student_call_on_both_halves():
    model = build()
    calls = []
    model.student.backbone.register_forward_hook(
        lambda module, args, _: calls.append((module.training, len(args[0])))
    )
    inputs, samples, mix = draw_batch()
    model(inputs, samples, mode='loss', mix=mix)
    assert calls == [(False, 2), (True, 4)]


def test_unsupervised_gradient_vanishes_above_every_confidence():
    model = build(conf_thresh=1.0, norm='none')
    inputs, samples, mix = draw_batch()
    losses = model(inputs, samples, mode='loss', mix=mix)
    gradients = torch.autograd.grad(losses['loss_unsup'], list(model.parameters()))
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize('buffers', ['average', 'copy'])
def test_ema_teacher_follows_the_recurrence(hub, buffers):
    """A copy until the burn-in ends, then the mean of all, then a moving average."""
    model = build(ema_momentum=0.6, conf_thresh=0.5, burn_in=2, ema_buffers=buffers)
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
        inputs, samples, mix = draw_batch(step)
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
    inputs, samples, mix = draw_batch()
    whole = build(conf_thresh=0.6, norm='none')
    want = whole(inputs, samples, mode='loss', mix=mix)['loss_unsup'].item()
    model = build(conf_thresh=0.6, norm='none', **settings)
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
    inputs, samples, mix = draw_batch()
    with pytest.raises(ValueError, match=re.escape(message)):
        build(**settings)(inputs, samples, mode='loss', mix=mix)


def test_a_batch_without_its_mix_is_refused():
    inputs, samples, _ = draw_batch()
    with pytest.raises(ValueError, match='FixMatch: the batch has no mix, expected'):
        build()(inputs, samples, mode='loss')


def test_without_a_threshold_every_valid_pixel_counts():
    inputs, samples, mix = draw_batch()
    none = build(threshold=dict(type='s5_mm.NoThreshold'))
    zero = build(conf_thresh=0.0)
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
        return softmax_of(logits.detach().numpy())

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
    inputs, samples, mix = draw_batch(separate=separate)
    model = build(conf_thresh=0.6, soft_targets=True)
    want = _soft_loss(model, inputs, mix)
    got = model(inputs, samples, mode='loss', mix=mix)
    assert got['loss_unsup'].item() == pytest.approx(want, rel=1e-11)
    hard = build(conf_thresh=0.6)(inputs, samples, mode='loss', mix=mix)
    assert got['loss_unsup'] > 1.05 * hard['loss_unsup']
    assert got['mask_ratio'] == hard['mask_ratio']


def test_supervised_twin_has_the_same_supervised_loss():
    inputs, samples, mix = draw_batch()
    twin = build(norm='none', cls=SemiBaseSegmentor)
    model = build(norm='none')
    got = twin(dict(sup=inputs['sup']), samples, mode='loss')
    want = model(inputs, samples, mode='loss', mix=mix)
    assert set(got) == {'loss_sup'}
    torch.testing.assert_close(got['loss_sup'], want['loss_sup'], atol=1e-13, rtol=0)


def test_auxiliary_heads_see_the_labelled_half_only():
    model = build(auxiliary=True, norm='none')
    inputs, samples, mix = draw_batch()
    first = model(inputs, samples, mode='loss', mix=mix)
    inputs['unsup_strong'] = inputs['unsup_strong'] + 1
    second = model(inputs, samples, mode='loss', mix=mix)
    assert first['aux.loss_ce'] == second['aux.loss_ce']
    assert first['loss_unsup'] != second['loss_unsup']


def test_bf16_autocast_covers_teacher_and_student():
    model = build(conf_thresh=0.5).float()
    inputs, samples, mix = draw_batch()
    inputs = {name: images.float() for name, images in inputs.items()}
    dtypes = []
    model.student.decode_head.conv_seg.register_forward_hook(
        lambda *args: dtypes.append(args[-1].dtype)
    )
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(inputs, samples, mode='loss', mix=mix)
    assert dtypes == [torch.bfloat16, torch.bfloat16]
    assert losses['loss_unsup'].dtype == torch.float32
