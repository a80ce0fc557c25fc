"""Test protocols against loops over views, windows and pixels, in fp64."""

import pytest
import torch
from torch.nn import functional as F

from s5_mm.models.segmentors.inference import (
    infer,
    to_probabilities,
)

from .inference_toys import CLASSES, draw_images

CLOSE = dict(atol=1e-12, rtol=1e-12)


class Net:
    """A network that sees position, borders and mirror images; notes its calls."""

    def __init__(self, classes=CLASSES):
        generator = torch.Generator().manual_seed(0)
        shape = (classes, 3, 3, 5)
        self.kernel = torch.randn(shape, generator=generator, dtype=torch.float64)
        self.calls = []

    def __call__(self, images, metas):
        assert len(images) == len(metas)
        for meta in metas:
            assert tuple(meta['img_shape']) == tuple(images.shape[-2:])
        self.calls.append((len(images), tuple(images.shape[-2:])))
        return self.see(images)

    def see(self, images):
        logits = F.conv2d(images, self.kernel, padding=(1, 2))
        ramp = torch.linspace(0, 1, images.shape[-1], dtype=torch.float64)
        return logits + ramp * logits.flip(1)


def _infer(images, net=None, align_corners=False, **test_cfg):
    metas = [dict(img_shape=tuple(images.shape[-2:])) for _ in images]
    return infer(net or Net(), images, metas, test_cfg, align_corners)


def _mirror(array, flip):
    """Mirror by index, pixel by pixel."""
    height, width = array.shape[-2:]
    out = torch.empty_like(array)
    for y in range(height):
        for x in range(width):
            from_y = y if flip == 'horizontal' else height - 1 - y
            from_x = x if flip == 'vertical' else width - 1 - x
            out[..., y, x] = array[..., from_y, from_x]
    return out


def _by_windows(net, images, rows, columns, crop, probable):
    """Mean of the windows, pixel by pixel."""
    count, _, height, width = images.shape
    total = torch.zeros(count, CLASSES, height, width, dtype=torch.float64)
    seen_by = torch.zeros(height, width, dtype=torch.float64)
    for top in rows:
        for left in columns:
            window = images[..., top : top + crop[0], left : left + crop[1]]
            seen = net.see(window)
            if probable:
                seen = seen.exp() / seen.exp().sum(1, keepdim=True)
            for y in range(window.shape[-2]):
                for x in range(window.shape[-1]):
                    total[..., top + y, left + x] += seen[..., y, x]
                    seen_by[top + y, left + x] += 1
    return total / seen_by, seen_by


@pytest.mark.parametrize('test_cfg', [dict(), dict(mode='whole'), dict(flip=[])])
def test_whole(test_cfg):
    images, net = draw_images(), Net()
    assert _infer(images, net, **test_cfg).equal(net.see(images))
    assert net.calls == [(2, (12, 17))]


@pytest.mark.parametrize(
    'flips',
    [
        ['horizontal'],
        ['vertical'],
        ['diagonal'],
        ['horizontal', 'vertical'],
        ['diagonal', 'horizontal', 'vertical'],
    ],
)
def test_flips_are_averaged_with_the_image(flips):
    images, net = draw_images(), Net()
    wanted = net.see(images).softmax(1)
    for flip in flips:
        seen = net.see(_mirror(images, flip)).softmax(1)
        wanted = wanted + _mirror(seen, flip)
    wanted = wanted / (len(flips) + 1)
    found = _infer(images, net, flip=flips)
    torch.testing.assert_close(found, wanted, **CLOSE)
    torch.testing.assert_close(found.sum(1), torch.ones_like(found[:, 0]), **CLOSE)
    assert net.calls == [(2, (12, 17))] * (len(flips) + 1)
    # The network is none of those that a flip does not change.
    assert (found - net.see(images).softmax(1)).abs().max() > 0.1


def _weights(length, size, align_corners):
    """Matrix (size, length) of a bilinear resizing, as its definition says."""
    matrix = torch.zeros(size, length, dtype=torch.float64)
    for i in range(size):
        if align_corners:
            at = i * (length - 1) / (size - 1)
        else:
            at = max((i + 0.5) * length / size - 0.5, 0)
        low = min(int(at), length - 1)
        high = min(low + 1, length - 1)
        matrix[i, low] += 1 - (at - low)
        matrix[i, high] += at - low
    return matrix


def _resized(images, size, align_corners):
    rows = _weights(images.shape[-2], size[0], align_corners)
    columns = _weights(images.shape[-1], size[1], align_corners)
    return rows @ images @ columns.T


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', [(6, 9), (20, 24)])
def test_resize_shows_another_size(size, align_corners):
    images, net = draw_images(), Net()
    shown = _resized(images, size, align_corners)
    wanted = _resized(net.see(shown).softmax(1), images.shape[-2:], align_corners)
    found = _infer(images, net, align_corners, resize=size)
    torch.testing.assert_close(found, wanted, **CLOSE)
    assert net.calls == [(2, size)]


def test_resize_with_flip():
    images, net, size = draw_images(), Net(), (6, 9)
    shown = _resized(images, size, False)
    mirrored = _mirror(net.see(_mirror(shown, 'vertical')).softmax(1), 'vertical')
    wanted = _resized((net.see(shown).softmax(1) + mirrored) / 2, (12, 17), False)
    found = _infer(images, net, resize=size, flip=['vertical'])
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize('average', ['logits', 'probabilities'])
@pytest.mark.parametrize(
    ('size', 'rows', 'columns'),
    [
        ((12, 17), (0, 3, 4), (0, 5, 10)),
        ((8, 7), (0,), (0,)),
        ((5, 20), (0,), (0, 5, 10, 13)),
    ],
)
def test_windows(size, rows, columns, average):
    images, net, crop = draw_images(2, size), Net(), (8, 7)
    probable = average == 'probabilities'
    wanted, seen_by = _by_windows(net, images, rows, columns, crop, probable)
    protocol = dict(mode='slide', crop_size=crop, stride=(3, 5), average=average)
    found = _infer(images, net, **protocol)
    torch.testing.assert_close(found, wanted, **CLOSE)
    assert seen_by.min() >= 1
    assert sum(count for count, _ in net.calls) == 2 * len(rows) * len(columns)
    if average == 'logits':
        protocol.pop('average')
        assert _infer(images, net, **protocol).equal(found)


@pytest.mark.parametrize('average', ['logits', 'probabilities'])
def test_release_counts_the_last_window_of_loveda_thrice(average):
    """1024, 512, 256 scaled down by 64: starts 0, 256, 512, 512, 512."""
    images, net, starts = draw_images(2, (16, 16)), Net(), (0, 4, 8, 8, 8)
    protocol = dict(mode='slide', crop_size=(8, 8), stride=(4, 4), average=average)
    probable = average == 'probabilities'
    wanted, seen_by = _by_windows(net, images, starts, starts, (8, 8), probable)
    found = _infer(images, net, **protocol, windows=5)
    torch.testing.assert_close(found, wanted, **CLOSE)
    # One side is seen 1, 2, 4, 3 times, a quarter of it each.
    side = torch.tensor([1.0, 2.0, 4.0, 3.0], dtype=torch.float64)
    side = side.repeat_interleave(4)
    assert seen_by.equal(side.outer(side))
    assert sum(count for count, _ in net.calls) == 2 * 25
    three = _infer(images, net, **protocol, windows=3)
    assert three.equal(_infer(images, net, **protocol))
    assert (three - found).abs().max() > 0.01


@pytest.mark.parametrize('average', ['logits', 'probabilities'])
def test_windows_with_flip_and_resize(average):
    """Every view is a mean over windows, of probabilities at once or afterwards."""
    images, net, crop = draw_images(), Net(), (8, 8)
    probable = average == 'probabilities'
    shown = _resized(images, (14, 12), False)
    rows, columns = (0, 4, 6), (0, 4)

    def see(view):
        seen, _ = _by_windows(net, view, rows, columns, crop, probable)
        return seen if probable else seen.softmax(1)

    mirrored = _mirror(see(_mirror(shown, 'horizontal')), 'horizontal')
    wanted = _resized((see(shown) + mirrored) / 2, (12, 17), False)
    found = _infer(
        images,
        net,
        mode='slide',
        crop_size=crop,
        stride=(4, 4),
        average=average,
        resize=(14, 12),
        flip=['horizontal'],
    )
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize('average', ['logits', 'probabilities'])
@pytest.mark.parametrize(
    ('window_batch', 'calls'),
    [(1, [2] * 12), (5, [4] * 6), (8, [8] * 3), (16, [16, 8]), (1000, [24])],
)
def test_batches_of_windows_do_not_change_the_result(window_batch, calls, average):
    images, net = draw_images(), Net()
    protocol = dict(mode='slide', crop_size=(8, 7), stride=(2, 4), average=average)
    found = _infer(images, net, **protocol, window_batch=window_batch)
    assert [count for count, _ in net.calls] == calls
    wanted, _ = _by_windows(
        net, images, (0, 2, 4), (0, 4, 8, 10), (8, 7), average == 'probabilities'
    )
    torch.testing.assert_close(found, wanted, **CLOSE)
    if window_batch == 16:
        assert _infer(images, net, **protocol).equal(found)


@pytest.mark.parametrize(
    ('size', 'windows', 'needed'), [((16, 8), 2, 3), ((8, 16), 2, 3), ((9, 9), 1, 2)]
)
def test_too_few_windows_are_refused(size, windows, needed):
    """Pixels that no window sees would be 0 / 0."""
    protocol = dict(mode='slide', crop_size=(8, 8), stride=(4, 4), windows=windows)
    message = (
        rf'test_cfg\.windows={windows}: {max(size)} pixels in windows of 8 every 4 '
        rf'need at least {needed}'
    )
    with pytest.raises(ValueError, match=message):
        _infer(draw_images(1, size), **protocol)


def test_probabilities():
    logits = draw_images()
    exp = logits.exp()
    wanted = exp / exp.sum(1, keepdim=True)
    torch.testing.assert_close(to_probabilities(logits), wanted, **CLOSE)
    one = logits[:, :1]
    torch.testing.assert_close(to_probabilities(one), 1 / (1 + (-one).exp()), **CLOSE)
