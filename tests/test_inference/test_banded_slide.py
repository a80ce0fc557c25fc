"""Banded windows against mmseg's canvas of the whole image."""

import weakref
from types import SimpleNamespace

import mmseg.models.segmentors as host
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.models.segmentors.base import BaseSegmentor
from torch.nn import functional as F

from s5_mm.inference import WindowSums, banded_scores, banded_slide, window_sums
from s5_mm.models.segmentors.inference import slide


class Net:
    """A network that sees where in its window a pixel is; notes its calls."""

    def __init__(self, classes):
        generator = torch.Generator().manual_seed(0)
        self.kernel = torch.randn((classes, 3, 3, 5), generator=generator)
        self.calls = []

    def __call__(self, images, metas):
        assert len(images) == len(metas)
        for meta in metas:
            assert tuple(meta['img_shape']) == tuple(images.shape[-2:])
        self.calls.append(tuple(images.shape))
        # One by one: a batched convolution need not round as a single one does.
        seen = [F.conv2d(image[None], self.kernel, padding=(1, 2)) for image in images]
        ramp = torch.linspace(-1, 1, images.shape[-1])
        return torch.cat(seen) * ramp + ramp.flip(0)


def _image(height, width):
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.randn((3, height, width), generator=generator)


def _by_mmseg(net, image, crop, stride, threshold=0.3):
    """Labels of mmseg's own functions, (H, W)."""
    stub = SimpleNamespace(
        test_cfg=ConfigDict(crop_size=crop, stride=stride),
        out_channels=len(net.kernel),
        encode_decode=net,
        decode_head=SimpleNamespace(threshold=threshold),
        align_corners=False,
    )
    meta = dict(img_shape=image.shape[-2:], ori_shape=tuple(image.shape[-2:]))
    logits = host.EncoderDecoder.slide_inference(stub, image[None], [meta])
    sample = BaseSegmentor.postprocess_result(stub, logits)[0]
    return sample.pred_sem_seg.data[0].long()


def _ours(net, image, crop, stride, **more):
    size, threshold = more.pop('size', None), more.pop('threshold', 0.3)
    cfg = dict(mode='slide', crop_size=crop, stride=stride, **more)
    return torch.cat(
        list(banded_slide(net, image, cfg, size=size, threshold=threshold))
    )


SIZES = [
    ((37, 53), (16, 16), (16, 16)),
    ((37, 53), (16, 24), (11, 7)),
    ((150, 41), (80, 40), (70, 13)),
    ((64, 64), (16, 16), (1, 16)),
    ((9, 90), (16, 16), (5, 5)),
    ((90, 9), (16, 16), (5, 5)),
    ((7, 5), (16, 16), (8, 8)),
    ((33, 33), (32, 32), (32, 31)),
]


@pytest.mark.parametrize(('size', 'crop', 'stride'), SIZES)
@pytest.mark.parametrize('classes', [1, 2, 5])
def test_labels_are_those_of_mmseg(size, crop, stride, classes):
    image, net = _image(*size), Net(classes)
    want = _by_mmseg(net, image, crop, stride)
    for batch in (1, 3, 6, 16):
        got = _ours(Net(classes), image, crop, stride, window_batch=batch)
        assert got.dtype == torch.int64
        assert got.equal(want)
    assert len(want.unique()) == max(classes, 2)


@pytest.mark.parametrize(('size', 'crop', 'stride'), SIZES)
@pytest.mark.parametrize('classes', [1, 4])
@pytest.mark.parametrize('average', ['logits', 'probabilities'])
def test_labels_are_those_of_the_whole_canvas(size, crop, stride, classes, average):
    image, net = _image(*size), Net(classes)
    cfg = dict(mode='slide', crop_size=crop, stride=stride, average=average)
    meta = dict(img_shape=size, ori_shape=size)
    logits = slide(net, image[None], [meta], cfg)[0]
    want = logits.argmax(0) if classes > 1 else (logits.sigmoid() > 0.4)[0].long()
    got = _ours(Net(classes), image, crop, stride, average=average, threshold=0.4)
    assert got.equal(want)


def _canvas(tiles, size, classes):
    """Put tiles together; each pixel comes once, the last one of a band ends it."""
    canvas, filled = torch.full((classes, *size), torch.nan), 0
    for tile in tiles:
        band = canvas[:, filled : filled + tile.band[0]]
        assert band[:, tile.rows, tile.columns].isnan().all()
        band[:, tile.rows, tile.columns] = tile.mean
        if (tile.rows.stop, tile.columns.stop) == tile.band:
            assert not band.isnan().any()
            filled += tile.band[0]
    assert filled == size[0]
    return canvas


@pytest.mark.parametrize(('size', 'crop', 'stride'), SIZES)
@pytest.mark.parametrize('average', ['logits', 'probabilities'])
@pytest.mark.parametrize('tile_bytes', [1, 700, 1 << 22])
def test_scores_are_those_of_the_whole_canvas(
    size, crop, stride, average, tile_bytes, monkeypatch
):
    monkeypatch.setattr(window_sums, '_TILE_BYTES', tile_bytes)
    image = _image(*size)
    for batch in (1, 2, 4, 9, 16):
        cfg = dict(mode='slide', crop_size=crop, stride=stride, average=average)
        cfg['window_batch'] = batch
        want = slide(Net(3), image[None], [dict()], cfg)[0]
        assert _canvas(banded_scores(Net(3), image, cfg), size, 3).equal(want)


@pytest.mark.parametrize('of_scores', [torch.half, torch.bfloat16, torch.float])
@pytest.mark.parametrize('of_images', [torch.half, torch.bfloat16, torch.float])
def test_sums_have_the_type_of_the_images(of_scores, of_images):
    class Cast(Net):
        def __call__(self, images, metas):
            return super().__call__(images.float(), metas).to(of_scores)

    image = _image(70, 41).to(of_images)
    want = _by_mmseg(Cast(5), image, (16, 16), (5, 6))
    assert _ours(Cast(5), image, (16, 16), (5, 6)).equal(want)
    cfg = dict(mode='slide', crop_size=(16, 16), stride=(5, 6))
    assert next(banded_scores(Cast(5), image, cfg)).mean.dtype == of_images


@pytest.mark.parametrize('classes', [2, 16, 256, 257])
def test_the_first_maximum_wins_and_a_first_nan_is_one(classes):
    generator = torch.Generator().manual_seed(classes)
    # Whole numbers make ties.
    scores = torch.randint(-3, 3, (classes, 24, 24), generator=generator).float()
    scores[-1, 0] = torch.inf
    damaged = scores.clone()
    damaged[torch.rand(scores.shape, generator=generator) < 0.02] = torch.nan
    for logits in (scores, damaged, -scores, scores - torch.inf):
        cfg = dict(mode='slide', crop_size=(24, 24), stride=(24, 24))
        got = torch.cat(
            list(banded_slide(lambda *_, x=logits: x[None], _image(24, 24), cfg))
        )
        assert got.equal(logits.argmax(dim=0))
        assert got.dtype == torch.int64


def test_average_of_probabilities_is_not_that_of_logits():
    image = _image(37, 53)
    args = Net(4), image, (16, 24), (11, 7)
    assert not _ours(*args, average='probabilities').equal(_ours(*args))


def test_division_by_the_counts_decides_ties():
    # Two classes a float apart are often equal after the division; the first wins.
    low = torch.linspace(0.5, 1, 11 * 11).reshape(11, 11)
    logits = torch.stack([low, low.nextafter(torch.tensor(2.0))])

    def net(images, _):
        return logits.expand(len(images), 2, 11, 11)

    net.kernel = logits
    image, sums = _image(31, 31), torch.zeros(2, 31, 31)
    for top in range(21):
        for left in range(21):
            sums[:, top : top + 11, left : left + 11] += logits
    want = _by_mmseg(net, image, (11, 11), (1, 1))
    assert not sums.argmax(0).equal(want)
    assert _ours(net, image, (11, 11), (1, 1)).equal(want)


def test_fixed_number_of_windows():
    image, net = _image(40, 30), Net(3)
    cfg = dict(mode='slide', crop_size=(16, 16), stride=(12, 12), windows=5)
    want = slide(net, image[None], [dict()], cfg).argmax(1)[0]
    assert torch.cat(list(banded_slide(Net(3), image, cfg))).equal(want)
    with pytest.raises(ValueError, match=r'windows=2: 40 pixels .* at least 3'):
        list(banded_slide(net, image, {**cfg, 'windows': 2}))


class Rows:
    """Rows of an image from the top down; notes what is asked for."""

    def __init__(self, array):
        self.array, self.asked = array, []

    def read(self, start, stop):
        self.asked.append((start, stop))
        return self.array[start:stop]


def test_rows_and_arrays_are_read_as_tensors_are():
    image = (_image(70, 30).abs() * 80).byte()
    array = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    rows = Rows(array)
    want = _by_mmseg(Net(4), image.float() / 7 - 3, (16, 16), (10, 10))
    cfg = dict(mode='slide', crop_size=(16, 16), stride=(10, 10))
    for source, size in ((image, None), (array, None), (rows, (70, 30))):
        prepared = banded_slide(
            Net(4), source, cfg, size, prepare=lambda w: w.float() / 7 - 3
        )
        assert torch.cat(list(prepared)).equal(want)
    # Three windows across, so five down; two rows are left.
    assert rows.asked == [(0, 56), (50, 70)]
    with pytest.raises(ValueError, match=r'size=\(H, W\) is missing'):
        next(banded_slide(Net(4), rows, cfg))


def test_rows_come_as_soon_as_no_window_touches_them():
    rows = Rows(_image(400, 20).permute(1, 2, 0).numpy())
    cfg = dict(mode='slide', crop_size=(100, 20), stride=(75, 20), window_batch=1)
    out = banded_slide(Net(2), rows, cfg, (400, 20))
    assert len(next(out)) == 75
    assert rows.asked == [(0, 100)]
    assert sum(len(part) for part in out) == 325


def test_memory_does_not_grow_with_the_height(monkeypatch):
    made = []

    class Noted(WindowSums):
        def __init__(self, *args):
            super().__init__(*args)
            made.append((tuple(self.kept.shape), self._tile.numel()))

    monkeypatch.setitem(banded_scores.__globals__, 'WindowSums', Noted)
    for height in (52, 4012):
        net = Net(3)
        image = np.zeros((height, 24, 3), np.float32)
        cfg = dict(mode='slide', crop_size=(32, 16), stride=(20, 8), window_batch=2)
        assert {len(rows) for rows in banded_slide(net, image, cfg)} == {20, 32}
        assert set(net.calls) == {(2, 3, 32, 16)}
    # The 12 rows that two rows of windows share.
    assert made == [((3, 12, 24), (1 << 22) // 4)] * 2


@pytest.mark.parametrize(('down', 'rows'), [(1, 28), (2, 28), (3, 0)])
def test_rows_that_a_block_shares_within_are_not_kept(down, rows):
    tops = [0, 20, 24]  # share 12 and 28 rows
    sums = WindowSums(torch.zeros(2, 32, 8), torch.float, tops, [0], (56, 8), down)
    assert sums.kept.shape == (2, rows, 8)


def test_no_batch_is_kept_beside_the_next():
    alive, most = [], 0
    net = Net(2)

    def predict(images, metas):
        nonlocal most
        most = max(most, sum(scores() is not None for scores in alive))
        scores = net(images, metas)
        alive.append(weakref.ref(scores))
        return scores

    cfg = dict(mode='slide', crop_size=(16, 16), stride=(5, 5), window_batch=2)
    for _ in banded_slide(predict, _image(40, 90), cfg):
        pass
    assert len(alive) > 12
    assert most == 0


@pytest.mark.parametrize(
    ('windows', 'batches'),
    [
        (1, [1] * 18),
        (2, [2] * 9),
        (4, [4, 4, 4, 2, 2, 2]),  # 2 down, 2 across; one row of windows is left
        (5, [5, 1] * 3),
        (9, [9, 9]),
        (16, [15, 3]),  # no more than 3 down, so 5 across
        (100, [18]),
    ],
)
def test_batches_are_blocks_of_windows(windows, batches):
    net = Net(2)  # 3 x 6 windows
    _ours(net, _image(28, 50), (16, 16), (8, 8), window_batch=windows)
    assert [shape[0] for shape in net.calls] == batches


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(mode='whole'), "mode is 'whole', large images need mode='slide'"),
        (dict(flip=['horizontal']), r"flip=\['horizontal'\] needs the whole image"),
        (dict(resize=(8, 8)), r'resize=\(8, 8\) needs the whole image'),
        (dict(stride=(20, 8)), r'stride=\(20, 8\) must be in 1..crop_size'),
    ],
)
def test_protocols_that_need_the_whole_image(changes, message):
    cfg = dict(mode='slide', crop_size=(16, 16), stride=(8, 8))
    with pytest.raises(ValueError, match=message):
        next(banded_slide(Net(2), _image(20, 20), {**cfg, **changes}))
