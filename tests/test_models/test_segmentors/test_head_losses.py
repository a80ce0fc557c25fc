"""Every setting of the wrapped segmentor has mmseg's effect, or is refused by name."""

import copy

import mmseg.models.segmentors as host
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from s5_mm.models.losses import PixelCrossEntropy
from s5_mm.models.segmentors import FixMatch, SemiBaseSegmentor

from ...support.distributed import run_ranks
from .compiled import Graphs
from .fixmatch_toys import draw_batch
from .head_toys import CE, SIZE, K, segmentor_of

WEIGHTS = [0.2, 1.0, 3.0, 0.5]


CLOSE = dict(rtol=1e-6, atol=0)


def _images(seed=0, count=3):
    draw = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, SIZE, SIZE, generator=draw, dtype=torch.float64)
    labels = torch.randint(0, K, (count, 1, SIZE, SIZE), generator=draw)
    labels[0, :, :9] = 255
    return images, labels


def _samples(labels):
    return [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]


def _wrapped(config, cls=SemiBaseSegmentor, **semi):
    torch.manual_seed(0)
    model = cls(copy.deepcopy(config), semi).double().train()
    model.student.decode_head.conv_seg.weight.data.mul_(50)
    return model


def _pair(config, **semi):
    """Our wrapper, and mmseg's segmentor with the same weights."""
    ours = _wrapped(config, **semi)
    plain = {key: value for key, value in config.items() if key != 'type'}
    theirs = host.EncoderDecoder(**copy.deepcopy(plain)).double().train()
    theirs.load_state_dict(ours.student.state_dict())
    return ours, theirs


def _losses(model, images, labels):
    """Differentiated losses by name, and the gradients of their sum."""
    torch.manual_seed(1)  # dropout
    if isinstance(model, SemiBaseSegmentor):
        samples = dict(sup=_samples(labels.to(torch.uint8)))
        losses = model(dict(sup=images), samples, mode='loss')
    else:
        losses = model(images, _samples(labels), mode='loss')
    losses = {name: value for name, value in losses.items() if 'loss' in name}
    total = sum(losses.values())
    gradients = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
    return losses, gradients


def _renamed(losses):
    """mmseg's names as ours."""
    sole = list(losses) == ['decode.loss_ce']
    names = {'decode.loss_ce': 'loss_sup'} if sole else {}
    return {
        names.get(name, name.replace('decode.', 'sup.')): value
        for name, value in losses.items()
    }


HEADS = dict(
    plain=dict(loss_decode=dict(type=CE, avg_non_ignore=True)),
    all_pixels=dict(loss_decode=dict(type=CE, avg_non_ignore=False)),
    loss_weight=dict(
        loss_decode=dict(type=CE, avg_non_ignore=True, loss_weight=0.4)
    ),
    class_weight=dict(loss_decode=dict(type=CE, class_weight=WEIGHTS)),
    dice=dict(loss_decode=dict(type='mmseg.DiceLoss', use_sigmoid=False)),
    sigmoid=dict(loss_decode=dict(type=CE, use_sigmoid=True, avg_non_ignore=True)),
    several=dict(
        loss_decode=[
            dict(type=CE, class_weight=WEIGHTS, loss_weight=2.0),
            dict(type='mmseg.DiceLoss', loss_weight=3.0),
            dict(type='mmseg.TverskyLoss', loss_name='loss_third'),
        ]
    ),
    one_name=dict(
        loss_decode=[
            dict(type=CE, loss_name='loss_x'),
            dict(type='mmseg.DiceLoss', loss_name='loss_x'),
        ]
    ),
    loss_name=dict(
        loss_decode=dict(type=CE, avg_non_ignore=True, loss_name='loss_main')
    ),
    hard_pixels=dict(
        sampler=dict(type='mmseg.OHEMPixelSampler', thresh=0.4, min_kept=50)
    ),
    largest_losses=dict(
        sampler=dict(type='mmseg.OHEMPixelSampler', min_kept=100),
        loss_decode=dict(type=CE, class_weight=WEIGHTS),
    ),
    align_corners=dict(align_corners=True),
    dropout_ratio=dict(dropout_ratio=0.5),
)  # fmt: skip


@pytest.mark.parametrize('name', HEADS)
def test_supervised_losses_and_gradients_are_those_of_mmsegs_head(name):
    ours, theirs = _pair(segmentor_of(**HEADS[name]))
    images, labels = _images()
    found, gradients = _losses(ours, images, labels)
    wanted, host_gradients = _losses(theirs, images, labels)
    wanted = _renamed(wanted)
    if name in ('dice', 'loss_name'):
        assert 'loss_sup' not in found
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, **CLOSE)
    for own, other in zip(gradients, host_gradients, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-10)


def test_every_setting_changes_the_loss():
    """What the comparison with mmseg compares is not the same number each time."""
    images, labels = _images()
    totals = [
        float(sum(_losses(_wrapped(segmentor_of(**head)), images, labels)[0].values()))
        for name, head in HEADS.items()
        if name != 'loss_name'
    ]
    assert len({round(total, 9) for total in totals}) == len(totals)


def test_class_weights_go_with_avg_non_ignore():
    """mmseg's loss fails with both; the weighted mean knows no ignored pixel anyway."""
    images, labels = _images()
    loss = dict(type=CE, class_weight=WEIGHTS)
    both = dict(loss, avg_non_ignore=True)
    ours, theirs = _pair(segmentor_of(loss_decode=both))
    with pytest.raises(IndexError):
        _losses(theirs, images, labels)
    want, _ = _losses(_pair(segmentor_of(loss_decode=loss))[1], images, labels)
    found, _ = _losses(ours, images, labels)
    torch.testing.assert_close(found['loss_sup'], want['decode.loss_ce'], **CLOSE)


def test_focal_loss_on_a_cpu_is_its_formula():
    """mmseg's own code for a CPU fails; on a GPU it computes this."""
    loss = dict(type='mmseg.FocalLoss', gamma=1.5, alpha=0.3, class_weight=WEIGHTS)
    ours, theirs = _pair(segmentor_of(loss_decode=loss))
    images, labels = _images()
    with pytest.raises(RuntimeError, match='must match the size of tensor'):
        _losses(theirs, images, labels)
    found, _ = _losses(ours, images, labels)
    logits = theirs(images)
    logits = F.interpolate(logits, (SIZE, SIZE), mode='bilinear')
    counted = labels != 255
    truth = F.one_hot(labels.where(counted, 0)[:, 0], K).permute(0, 3, 1, 2).double()
    p = logits.sigmoid()
    entropy = -(truth * 0.3 * (1 - p) ** 1.5 * p.log())
    entropy = entropy - (1 - truth) * 0.7 * p**1.5 * (1 - p).log()
    weighted = entropy * torch.tensor(WEIGHTS).view(1, K, 1, 1) * counted
    assert set(found) == {'sup.loss_focal'}
    torch.testing.assert_close(found['sup.loss_focal'], weighted.mean(), **CLOSE)


def test_auxiliary_losses_and_the_neck_are_those_of_mmseg():
    config = segmentor_of(auxiliary=True)
    config.auxiliary_head = copy.deepcopy(config.decode_head)
    config.auxiliary_head.loss_decode = dict(
        type='mmseg.DiceLoss', loss_weight=0.3, loss_name='loss_deep'
    )
    config.neck = dict(type='mmseg.FPN', in_channels=[8], out_channels=8, num_outs=1)
    ours, theirs = _pair(config)
    images, labels = _images()
    found, gradients = _losses(ours, images, labels)
    wanted, host_gradients = _losses(theirs, images, labels)
    assert set(found) == {'loss_sup', 'aux.loss_deep'}
    torch.testing.assert_close(found['loss_sup'], wanted['decode.loss_ce'], **CLOSE)
    torch.testing.assert_close(found['aux.loss_deep'], wanted['aux.loss_deep'], **CLOSE)
    for own, other in zip(gradients, host_gradients, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize('name', ['class_weight', 'dice', 'several', 'hard_pixels'])
def test_the_unlabelled_loss_stays_that_of_equation_7(name):
    inputs, samples, mix = draw_batch()
    models = [
        _wrapped(segmentor_of(**HEADS[own]), FixMatch, conf_thresh=0.3)
        for own in ('plain', name)
    ]
    plain, other = (m(inputs, samples, mode='loss', mix=mix) for m in models)
    assert other['loss_unsup'] == plain['loss_unsup'] > 0
    assert other['mask_ratio'] == plain['mask_ratio']
    labelled = {key: v for key, v in other.items() if key.startswith(('sup', 'loss_s'))}
    assert float(sum(labelled.values())) != plain['loss_sup'].item()


def test_average_halves_every_loss():
    inputs, samples, mix = draw_batch()
    losses = [
        _wrapped(segmentor_of(**HEADS['several']), FixMatch, average_losses=average)(
            inputs, samples, mode='loss', mix=mix
        )
        for average in (False, True)
    ]
    for key, value in losses[0].items():
        factor = 2 if 'loss' in key else 1
        torch.testing.assert_close(losses[1][key] * factor, value)


def test_a_loss_of_mmsegs_stays_out_of_the_compiled_graph():
    graphs = Graphs()
    eager = _wrapped(segmentor_of(**HEADS['several']))
    compiled = copy.deepcopy(eager)
    compiled.compile_steps(backend=graphs.backend, dynamic=False)
    for seed in range(3):
        images, labels = _images(seed)
        want, _ = _losses(eager, images, labels)
        found, gradients = _losses(compiled, images, labels)
        for key, value in want.items():
            torch.testing.assert_close(found[key], value)
        assert all(gradient is not None for gradient in gradients)
    counted = graphs.count
    _losses(compiled, *_images(4))
    assert graphs.count == counted, 'a number that changes is compiled in'


def test_weighted_cross_entropy_compiles_into_one_graph():
    graphs = Graphs()
    loss = dict(type=CE, class_weight=WEIGHTS, avg_non_ignore=True)
    model = _wrapped(segmentor_of(loss_decode=loss))
    model.compile_steps(backend=graphs.backend, dynamic=False)
    for seed in range(3):
        _losses(model, *_images(seed))
    assert (graphs.count, graphs.breaks) == (1, {})


SHARES = (slice(0, 1), slice(1, 4))


def _rank_losses(rank, world, head):
    model = _wrapped(segmentor_of(**head))
    images, labels = _images(count=4)
    losses, gradients = _losses(model, images[SHARES[rank]], labels[SHARES[rank]])
    return dict(loss=losses['loss_sup'].detach(), gradients=list(gradients))


@pytest.mark.parametrize('name', ['all_pixels', 'class_weight'])
def test_two_processes_with_unequal_shares_equal_one(tmp_path, name):
    images, labels = _images(count=4)
    whole, gradients = _losses(_wrapped(segmentor_of(**HEADS[name])), images, labels)
    ranks = run_ranks(_rank_losses, 2, tmp_path, HEADS[name])
    mean = sum(rank['loss'] for rank in ranks) / 2
    torch.testing.assert_close(mean, whole['loss_sup'].detach())
    for index, gradient in enumerate(gradients):
        parts = sum(rank['gradients'][index] for rank in ranks) / 2
        torch.testing.assert_close(parts, gradient)


def test_reduction_of_pixels():
    loss = PixelCrossEntropy(class_weight=WEIGHTS, loss_weight=2.0)
    logits = torch.randn(1, K, 2, 2)
    labels = torch.tensor([[[0, 3], [255, 2]]])
    found = loss(logits, labels, reduction_override='none')
    want = F.cross_entropy(
        logits, labels, torch.tensor(WEIGHTS), reduction='none', ignore_index=255
    )
    torch.testing.assert_close(found, 2 * want)
    with pytest.raises(ValueError, match="reduction_override='sum', allowed are None"):
        loss(logits, labels, reduction_override='sum')
