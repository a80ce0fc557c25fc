"""Figures of quality beside loops in float64, and what must not change them."""

from collections import deque

import cv2
import numpy as np
import pytest

from s5_mm.curation.gate.quality import QUALITY_COLUMNS, Quality, measure_quality
from s5_mm.curation.gate.spectrum import detail_share
from s5_mm.testing import draw_scene, spoil

INTERPOLATIONS = {
    'nearest': cv2.INTER_NEAREST,
    'bilinear': cv2.INTER_LINEAR,
    'bicubic': cv2.INTER_CUBIC,
}


# The mosaic has no padding, and repeats rows but no columns.
NOT_SHOWN = ('padding', 'repeated')


def _spoilt(kind, size, index=0):
    scene = draw_scene(3, index, size).image
    data = spoil(scene, kind, np.random.default_rng((7, index)))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def _mosaic():
    """A scene with all that the figures look for, 80x64 px."""
    image = draw_scene(1, 4, 80).image[:, :64].copy()
    image[:20, :22] = 3  # black at the border
    image[40:62, 44:] = (90, 120, 20)  # another colour at the border
    image[26:46, 20:40] = 0  # black that touches no border
    image[76:] = (9, 8, 7)  # a strip
    image[66] = image[65]
    image[70] = np.random.default_rng(0).integers(0, 256, (64, 3))
    image[:76, 50] = 200
    image[22:30, 44:60] = np.random.default_rng(1).integers(230, 240, (8, 16, 3))
    return image


def _slow_dead(image):
    height, width = image.shape[:2]

    def window(y, x):
        return np.s_[max(y - 8, 0) : y + 9, max(x - 8, 0) : x + 9]

    dead = np.zeros((height, width), bool)
    for y in range(height):
        for x in range(width):
            part = image[window(y, x)].reshape(-1, 3)
            dead[y, x] = (part == part[0]).all()
    reached = np.zeros_like(dead)
    queue = deque(
        (y, x)
        for y in range(height)
        for x in range(width)
        if (y in (0, height - 1) or x in (0, width - 1)) and dead[y, x]
    )
    while queue:
        y, x = queue.popleft()
        if 0 <= y < height and 0 <= x < width and dead[y, x] and not reached[y, x]:
            reached[y, x] = True
            queue.extend([(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)])
    grown = np.zeros_like(dead)
    for y, x in np.argwhere(reached):
        grown[window(y, x)] = True
    black = grown & (image.max(axis=2) <= 6)
    return black.mean(), (grown & ~black).mean()


def _slow_lines(image):
    """Repeated and bad rows."""
    rows = image.astype(np.int64)
    green = rows[..., 1]
    uniform = [(np.ptp(row, axis=0) <= 6).all() for row in rows]
    repeated = bad = 0
    for i in range(len(rows)):
        equal = i > 0 and not uniform[i] and (green[i] == green[i - 1]).all()
        near = [j for j in (i - 1, i + 1) if 0 <= j < len(rows)]
        steps = [np.abs(green[i] - green[j]).mean() for j in near]
        wrong = uniform[i] and max(steps) > 4
        if len(near) == 2:
            # OpenCV rounds a half to the even neighbour.
            middle = np.rint((green[i - 1] + green[i + 1]) / 2)
            between = np.abs(green[i - 1] - green[i + 1]).mean()
            wrong |= np.abs(green[i] - middle).mean() > 3 * between + 4
        repeated += equal
        bad += equal or wrong
    return repeated / len(rows), bad / len(rows)


def _slow_border(image):
    spared = np.ones(image.shape[:2], bool)
    for turn in range(4):
        turned, left = np.rot90(image, turn), np.rot90(spared, turn)
        for row, mark in zip(turned, left, strict=True):
            if np.ptp(row.astype(int), axis=0).max() > 6:
                break
            mark[:] = False
    return 1 - spared.mean()


def _slow_detail(plane):
    height, width = (side // 16 * 16 for side in plane.shape)
    centred = plane[:height, :width].astype(np.float64)
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in (height, width)))
    power = np.abs(np.fft.fft2((centred - centred.mean()) * window)) ** 2
    power -= (window**2).sum() / 12
    # By one division, as 28/80 must not exceed 0.35.
    fy, fx = (np.minimum(np.arange(n), n - np.arange(n)) / n for n in (height, width))
    energy = power * 4 * (np.sin(np.pi * fy[:, None]) ** 2 + np.sin(np.pi * fx) ** 2)
    beyond = np.maximum(fy[:, None], fx) > 0.35
    return np.clip(energy[beyond].sum() / energy.sum(), 0, 1)


def _slow(image):
    height, width = image.shape[:2]
    pixels = image.astype(np.int64)
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode='edge')
    cloud = [
        pixels[y, x].min() >= 215
        and np.ptp(padded[y : y + 3, x : x + 3], axis=(0, 1)).max() <= 12
        for y in range(height)
        for x in range(width)
    ]
    blocks = [
        pixels[y : y + 16, x : x + 16, 1].std() < 2
        for y in range(0, height - 15, 16)
        for x in range(0, width - 15, 16)
    ]
    rows, columns = (_slow_lines(i) for i in (image, image.transpose(1, 0, 2)))
    no_data, constant = _slow_dead(image)
    return Quality(
        padding=0.0,
        no_data=no_data,
        constant=constant,
        border=_slow_border(image),
        flat=np.mean(blocks),
        contrast=pixels[..., 1].std(),
        repeated=min(rows[0], columns[0]),
        detail=_slow_detail(image[..., 1]),
        stripes=max(rows[1], columns[1]),
        cloud=np.mean(cloud),
        colour=np.ptp(pixels, axis=2).mean(),
    )


@pytest.mark.parametrize('kind', ['mosaic', 'clean', 'no_data', 'stripes', 'upsampled'])
def test_figures_beside_loops(kind):
    if kind == 'mosaic':
        image = _mosaic()
    elif kind == 'clean':
        image = draw_scene(2, 1, 64).image
    else:
        image = _spoilt(kind, 64, 2)
    found, expected = measure_quality(image), _slow(image)
    for name, value, slow in zip(QUALITY_COLUMNS, found, expected, strict=True):
        assert value == pytest.approx(slow, rel=1e-4, abs=1e-5), name
    if kind == 'mosaic':
        assert all(v > 0 for k, v in found._asdict().items() if k not in NOT_SHOWN)


def test_repeated_only_if_on_both_axes():
    image = draw_scene(0, 0, 64).image
    rows = np.repeat(image[::2], 2, axis=0)
    both = np.repeat(rows[:, ::2], 2, axis=1)
    assert measure_quality(rows).repeated == 0
    assert measure_quality(rows).stripes == 0.5
    assert measure_quality(both).repeated == 0.5


@pytest.mark.parametrize('kind', ['mosaic', 'stripes', 'no_data', 'border'])
def test_orientations(kind):
    image = _mosaic() if kind == 'mosaic' else _spoilt(kind, 128, 1)
    expected = measure_quality(image)
    for flipped in (image, image[:, ::-1]):
        for turn in range(4):
            found = measure_quality(np.rot90(flipped, turn).copy())
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('size', [128, 256, 512])
@pytest.mark.parametrize('method', INTERPOLATIONS)
@pytest.mark.parametrize('factor', [2, 4])
def test_enlarged(size, method, factor):
    scene = draw_scene(4, size + factor, size).image
    part = scene[: size // factor, : size // factor]
    large = cv2.resize(part, (size, size), interpolation=INTERPOLATIONS[method])
    if method == 'nearest':
        assert measure_quality(large).repeated >= 0.45
    else:
        assert detail_share(large[..., 1]) < 0.02
    assert measure_quality(scene).repeated == 0
    assert detail_share(scene[..., 1]) > 0.05


@pytest.mark.parametrize('shape', [(32, 32), (48, 96), (130, 71), (512, 512)])
def test_detail_beside_a_float64_transform(shape):
    rng = np.random.default_rng(shape)
    noise = cv2.GaussianBlur(rng.normal(0, 300, shape), (0, 0), 1.0) + 120
    plane = np.clip(noise, 0, 255).astype(np.uint8)
    assert detail_share(plane) == pytest.approx(_slow_detail(plane), rel=1e-4)


def test_detail_of_white_noise_is_the_share_of_the_frequencies():
    plane = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    f = np.abs(np.fft.fftfreq(256))
    weight = np.sin(np.pi * f[:, None]) ** 2 + np.sin(np.pi * f) ** 2
    share = weight[np.maximum(f[:, None], f) > 0.35].sum() / weight.sum()
    assert detail_share(plane) == pytest.approx(share, rel=0.01)


def test_detail_that_cannot_be_told():
    scene = draw_scene(0, 1, 64).image[..., 1]
    assert detail_share(scene[:31]) == 1
    assert detail_share(np.full((64, 64), 7, np.uint8)) == 1
    assert detail_share(scene) < 1


def test_padding_is_not_looked_at():
    image = draw_scene(0, 2, 128).image
    black, grey = np.zeros_like(image), np.full_like(image, 99)
    for crop in (black, grey):
        crop[:96, :80] = image[:96, :80]
    alone = measure_quality(image[:96, :80].copy())
    assert alone.padding == 0
    for crop in (black, grey):
        found = measure_quality(crop, 80, 96)
        assert found.padding == pytest.approx(1 - 80 * 96 / 128**2)
        assert found._replace(padding=0) == alone
    assert measure_quality(black).no_data > 0.5


@pytest.mark.parametrize(('width', 'height'), [(1, 1), (2, 40), (40, 3), (17, 31)])
def test_tiny_windows_give_numbers(width, height):
    crop = draw_scene(0, 3, 48).image
    found = measure_quality(crop, width, height)
    assert np.isfinite(found).all()
    assert found.padding == pytest.approx(1 - width * height / 48**2)


def test_types():
    found = measure_quality(draw_scene(0, 0, 64).image)
    assert {type(value) for value in found} == {float}
    assert Quality._fields == QUALITY_COLUMNS


@pytest.mark.parametrize(
    'crop',
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_refuses_other_arrays(crop):
    with pytest.raises(ValueError, match=r'crop: .* found, expected uint8 \(size, si'):
        measure_quality(crop)


@pytest.mark.parametrize(('width', 'height'), [(0, 8), (8, 9), (9, 8), (8, -1)])
def test_refuses_windows_beyond_the_crop(width, height):
    with pytest.raises(
        ValueError, match=f'window is {width}x{height} px, the crop 8x8'
    ):
        measure_quality(np.zeros((8, 8, 3), np.uint8), width, height)
