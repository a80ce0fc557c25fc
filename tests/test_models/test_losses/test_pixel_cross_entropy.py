"""The mean cross entropy of pixels: against mmseg, by hand, and between processes."""

import math
from collections import Counter

import mmseg.models.losses as host
import pytest
import torch
from torch.nn import functional as F

from s5_mm.models.losses import (
    PixelCrossEntropy,
    mean_over_pixels,
    pixel_cross_entropy,
    upsample,
)

from ...support.distributed import run_ranks
from ...test_end_to_end.host_syncs import WATCHED

CLOSE = dict(atol=1e-12, rtol=1e-12)


def _draw(seed=0, shape=(3, 5, 6, 7), ignored=0.3, ignore_index=255):
    generator = torch.Generator().manual_seed(seed)
    count, classes, *size = shape
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, classes, (count, *size), generator=generator)
    drop = torch.rand(labels.shape, generator=generator) < ignored
    # Exact in fp32, to which mmseg rounds them.
    weight = torch.rand(labels.shape, generator=generator).double()
    return logits.requires_grad_(), labels.masked_fill(drop, ignore_index), weight


def _by_hand(logits, labels, weight=None, ignore_index=255):
    """Sum and number of pixels, pixel by pixel."""
    total, count = 0.0, 0
    images, _, height, width = logits.shape
    for n in range(images):
        for y in range(height):
            for x in range(width):
                label = int(labels[n, y, x])
                if label == ignore_index:
                    continue
                scores = logits[n, :, y, x].tolist()
                entropy = math.log(sum(math.exp(s) for s in scores)) - scores[label]
                total += entropy * (1 if weight is None else float(weight[n, y, x]))
                count += 1
    return total, count


# -- value ----------------------------------------------------------------------------
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('ignored', [0.0, 0.3, 0.97])
def test_equals_mmsegs_and_the_sum_by_hand(ignored, weighted):
    logits, labels, weight = _draw(ignored=ignored)
    weight = weight if weighted else None
    found = PixelCrossEntropy(loss_weight=0.7)(logits, labels, weight)
    theirs = host.CrossEntropyLoss(loss_weight=0.7, avg_non_ignore=True)
    # mmseg adds the epsilon of fp32 to the number of pixels.
    count = int((labels != 255).sum())
    wanted = theirs(logits, labels, weight=weight, ignore_index=255)
    wanted = wanted * (1 + torch.finfo(torch.float32).eps / count)
    torch.testing.assert_close(found, wanted, **CLOSE)
    total, counted = _by_hand(logits, labels, weight)
    assert counted == count
    torch.testing.assert_close(found.item(), 0.7 * total / count, **CLOSE)
    gradients = [torch.autograd.grad(x, logits)[0] for x in (found, wanted)]
    torch.testing.assert_close(*gradients, **CLOSE)
    assert gradients[0].abs().sum() > 0


@pytest.mark.parametrize('ignore_index', [0, 4, 254])
def test_any_label_can_be_ignored(ignore_index):
    logits, labels, _ = _draw(ignore_index=ignore_index)
    found = PixelCrossEntropy()(logits, labels, ignore_index=ignore_index)
    total, count = _by_hand(logits, labels, ignore_index=ignore_index)
    torch.testing.assert_close(found.item(), total / count, **CLOSE)


def test_weights_do_not_change_the_number_of_pixels():
    logits, labels, weight = _draw()
    loss = PixelCrossEntropy()
    half = loss(logits, labels, torch.full_like(weight, 0.5))
    torch.testing.assert_close(half, loss(logits, labels) / 2, **CLOSE)
    assert loss(logits, labels, torch.zeros_like(weight)) == 0


@pytest.mark.parametrize('sync', [True, False])
def test_all_pixels_ignored(sync):
    logits, labels, weight = _draw(ignored=1.1)
    assert (labels == 255).all()
    for given in (None, weight):
        loss = PixelCrossEntropy(sync_normalizer=sync)(logits, labels, given)
        assert loss == 0
        (gradient,) = torch.autograd.grad(loss, logits)
        assert gradient.equal(torch.zeros_like(logits))


def test_entropy_of_each_pixel():
    logits, labels, _ = _draw()
    entropy = pixel_cross_entropy(logits, labels)
    assert entropy.shape == labels.shape
    assert (entropy[labels == 255] == 0).all()
    assert (entropy[labels != 255] > 0).all()
    one, count = _by_hand(logits[1:2, :, 2:3, 4:5], torch.tensor([[[3]]]))
    assert count == 1
    found = pixel_cross_entropy(logits[1:2, :, 2:3, 4:5], torch.tensor([[[3]]]))
    torch.testing.assert_close(found.item(), one, **CLOSE)


def test_mean_by_hand():
    counted = torch.tensor([[True, False], [True, True]])
    assert mean_over_pixels(torch.tensor(6.0), counted) == 2
    assert mean_over_pixels(torch.tensor(6.0), counted, sync=False) == 2
    assert mean_over_pixels(torch.tensor(0.0), counted & False) == 0


@pytest.mark.parametrize('align_corners', [False, True])
def test_upsample(align_corners):
    logits = _draw()[0].detach()
    found = upsample(logits, [13, 9], align_corners)
    wanted = F.interpolate(
        logits, (13, 9), mode='bilinear', align_corners=align_corners
    )
    assert found.equal(wanted)
    assert found.dtype == torch.float64
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        assert upsample(logits.to(dtype), (6, 7), align_corners).dtype == torch.float32
    rounded = logits.bfloat16()
    assert upsample(rounded, (13, 9), align_corners).equal(
        upsample(rounded.float(), (13, 9), align_corners)
    )


def test_name_in_the_log():
    assert PixelCrossEntropy().loss_name == 'loss_ce'
    assert PixelCrossEntropy(loss_name='loss_x').loss_name == 'loss_x'


# -- the host waits for nothing -------------------------------------------------------
def _syncs(call, monkeypatch):
    counts = Counter()
    with monkeypatch.context() as patch:
        for name in WATCHED:
            plain = getattr(torch.Tensor, name)

            def counted(self, *args, _plain=plain, _name=name, **kwargs):
                counts[_name] += 1
                return _plain(self, *args, **kwargs)

            patch.setattr(torch.Tensor, name, counted)
        call()
    return counts


def test_no_host_synchronisation(monkeypatch):
    """Ours makes none; mmseg's reads the number of pixels: the counter counts."""
    logits, labels, weight = _draw()
    ours, theirs = PixelCrossEntropy(), host.CrossEntropyLoss(avg_non_ignore=True)
    for given in (None, weight):
        counts = _syncs(
            lambda given=given: ours(logits, labels, given).backward(), monkeypatch
        )
        assert not counts
    assert _syncs(
        lambda: theirs(logits, labels, ignore_index=255).backward(), monkeypatch
    )


# -- processes ------------------------------------------------------------------------
SHAPE = (2, 5, 6, 7)


def _rank_loss(rank, world, sync, empty):
    """Loss and gradient of one process; the second one has far fewer pixels."""
    ignored = (0.1, 1.1 if empty else 0.9)[rank]
    logits, labels, weight = _draw(rank, SHAPE, ignored)
    loss = PixelCrossEntropy(0.7, sync_normalizer=sync)(logits, labels, weight)
    (gradient,) = torch.autograd.grad(loss, logits)
    return dict(loss=loss.detach(), gradient=gradient)


@pytest.mark.parametrize('empty', [False, True])
@pytest.mark.parametrize('sync', [True, False])
def test_processes_agree_with_one(tmp_path, sync, empty):
    """As DDP averages gradients, the mean over the processes is what counts."""
    ranks = run_ranks(_rank_loss, 2, tmp_path, sync, empty)
    parts = [
        _draw(rank, SHAPE, ignored)
        for rank, ignored in enumerate((0.1, 1.1 if empty else 0.9))
    ]
    logits, labels, weight = (torch.cat(part) for part in zip(*parts, strict=True))
    numbers = [int((part[1] != 255).sum()) for part in parts]
    assert numbers[0] > 4 * numbers[1]
    whole = PixelCrossEntropy(0.7)(logits, labels, weight)
    (gradient,) = torch.autograd.grad(whole, logits)
    mean = sum(rank['loss'] for rank in ranks) / 2
    halves = torch.cat([rank['gradient'] for rank in ranks]) / 2
    if sync:
        torch.testing.assert_close(mean, whole.detach(), **CLOSE)
        torch.testing.assert_close(halves, gradient, **CLOSE)
        return
    assert abs((mean - whole).item()) > 0.01
    for rank, part in zip(ranks, parts, strict=True):
        alone = PixelCrossEntropy(0.7)(*part)
        torch.testing.assert_close(rank['loss'], alone.detach(), **CLOSE)
