"""The one-pass geometry against resizing, padding, cropping and turning in full."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from s5_mm.datasets.transforms.random_geometry import (
    CropWindow,
    RandomGeometry,
    _bilinear,
    _nearest,
    source_window,
)
from s5_mm.utils.randomness import SampleKey

from .files import picture


def sample(source: np.ndarray, window: CropWindow, axis: int) -> np.ndarray:
    """Sample one axis in fp64 where the window says."""
    size = source.shape[axis]
    where = window.start + (window.skip + np.arange(window.length) + 0.5) / window.ratio
    where = np.clip(where - 0.5, 0, size - 1)
    low = np.floor(where).astype(int)
    part = (where - low).reshape([-1 if a == axis else 1 for a in range(source.ndim)])
    high = np.minimum(low + 1, size - 1)
    return source.take(low, axis) * (1 - part) + source.take(high, axis) * part


def draws(count: int):
    """Images of hard edges, of many sizes and scales, with their windows."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        height, width = (int(n) for n in generator.integers(5, 300, 2))
        image = generator.integers(0, 2, (height, width, 3), np.uint8) * 255
        crop = int(generator.integers(8, 160))
        rows, columns, *_ = RandomGeometry(crop).draw(height, width, generator)
        yield image, rows, columns


def test_bilinear_is_bilinear() -> None:
    for image, rows, columns in draws(300):
        patch = _bilinear(image, rows, columns)
        assert patch.shape[:2] == (rows.length, columns.length)
        expected = sample(sample(image.astype(np.float64), rows, 0), columns, 1)
        # OpenCV rounds its weights to 11 bits: at most one level off.
        assert np.abs(patch - expected).max() <= 1


def test_nearest_is_nearest() -> None:
    for image, rows, columns in draws(100):
        mask = np.arange(image.shape[0] * image.shape[1]).reshape(image.shape[:2])
        patch = _nearest(mask, rows, columns)
        found = np.divmod(patch, image.shape[1])
        for axis, window in enumerate((rows, columns)):
            where = (window.skip + np.arange(window.length) + 0.5) / window.ratio
            where = np.clip(window.start + where - 0.5, 0, image.shape[axis] - 1)
            shape = (-1, 1) if axis == 0 else (1, -1)
            assert np.abs(found[axis] - where.reshape(shape)).max() <= 0.5 + 1e-9


def test_window_is_where_the_whole_axis_would_be_sampled() -> None:
    generator = np.random.default_rng(0)
    for _ in range(3000):
        size = int(generator.integers(1, 700))
        resized = int(generator.integers(max(1, size // 2), 2 * size + 1))
        length = int(generator.integers(1, resized + 1))
        offset = int(generator.integers(0, resized - length + 1))
        window = source_window(size, resized, offset, length)
        assert 0 <= window.start < window.stop <= size
        place = np.arange(length) + 0.5
        found = window.start + (window.skip + place) / window.ratio
        wanted = (offset + place) * size / resized
        assert np.abs(found - wanted).max() < 1.5
        if window.ratio != 1:
            assert np.abs(found - wanted).max() < 1
            assert np.ptp(found - wanted) < 1e-9  # a shift, not a stretch
        if offset == 0 or resized in (2 * size, size):
            shift = np.abs(found - wanted).max()
            assert shift < (1e-9 if window.ratio == resized / size else 0.5)


@pytest.mark.parametrize('factor', [0.5, 1.0, 2.0])
def test_equal_to_resizing_the_whole_image(factor: float) -> None:
    image = picture(0, 90, 120)
    whole = cv2.resize(image, None, fx=factor, fy=factor)
    for seed in range(20):
        rows, columns, flip_h, flip_v, turns = RandomGeometry(
            40, (factor, factor)
        ).draw(90, 120, np.random.default_rng(seed))
        generator = np.random.default_rng(seed)  # the same draws, by hand
        generator.integers(0, 1)
        y, x = (int(generator.integers(0, int(n * factor) - 40 + 1)) for n in (90, 120))
        np.testing.assert_array_equal(
            _bilinear(image, rows, columns), whole[y : y + 40, x : x + 40]
        )


def test_flips_turns_and_padding() -> None:
    """At scale 1 everything is exact, so the slow way can be written down."""
    seen = set()
    for position in range(60):
        key = SampleKey(3, 0, position)
        image, mask = picture(position, 20, 37), picture(position, 20, 37)[..., 0] % 3
        results = {
            'img': image,
            'gt_seg_map': mask,
            'seg_fields': ['gt_seg_map'],
            'sample_key': key,
        }
        transform = RandomGeometry(30, (1, 1), img_pad=7)
        out = transform.transform(results)
        from s5_mm.datasets.transforms.draws import transform_generator

        rows, columns, flip_h, flip_v, turns = transform.draw(
            20, 37, transform_generator({'sample_key': key}, 1)
        )
        seen.add((flip_h, flip_v, turns))
        x = columns.start + columns.skip
        padded = np.full((30, 30, 3), 7, np.uint8)
        padded[:20] = image[:, x : x + 30]
        labels, inside = np.full((30, 30), 255, np.uint8), np.zeros((30, 30), bool)
        labels[:20], inside[:20] = mask[:, x : x + 30], True
        for array, found in ((padded, out['img']), (labels, out['gt_seg_map'])):
            array = array[:, ::-1] if flip_h else array
            array = array[::-1] if flip_v else array
            np.testing.assert_array_equal(found, np.rot90(array, turns))
        inside = inside[:, ::-1] if flip_h else inside
        inside = np.rot90(inside[::-1] if flip_v else inside, turns)
        x0, y0, x1, y1 = out['valid_rect']
        rectangle = np.zeros((30, 30), bool)
        rectangle[y0:y1, x0:x1] = True
        np.testing.assert_array_equal(rectangle, inside)
        assert out['img_shape'] == (30, 30)
    assert len(seen) == 16


def test_draws_have_the_distribution_of_the_release() -> None:
    transform, generator = RandomGeometry(64), np.random.default_rng(0)
    longs, offsets, flips, turned = [], [], [], np.zeros(4)
    for _ in range(4000):
        rows, columns, flip_h, flip_v, turns = transform.draw(50, 100, generator)
        assert columns.length <= 64
        flips.append((flip_h, flip_v))
        turned[turns] += 1
        if columns.ratio != 1:
            longs.append(round(columns.ratio * 100))
            # The short side follows, rounded half up.
            if rows.ratio != 1:
                assert round(rows.ratio * 50) == int(50 * longs[-1] / 100 + 0.5)
    assert (min(longs), max(longs)) == (50, 200)  # both ends included
    assert abs(np.mean(longs) - 125) < 3
    np.testing.assert_allclose(np.mean(flips, 0), 0.5, atol=0.03)
    assert abs(np.corrcoef(np.transpose(flips))[0, 1]) < 0.06
    np.testing.assert_allclose(turned / 4000, 0.25, atol=0.03)
    for _ in range(500):
        window = RandomGeometry(64, (1, 1)).draw(80, 80, generator)[0]
        offsets.append(window.start + window.skip)
    assert set(offsets) == set(range(17))  # both ends included


def test_draws_belong_to_the_sample() -> None:
    def run(key: SampleKey | None, stream: int = 1) -> np.ndarray:
        results = {'img': picture(0, 90, 90)}
        if key:
            results['sample_key'] = key
        return RandomGeometry(32, stream=stream).transform(results)['img']

    first = run(SampleKey(1, 0, 5))
    np.random.random(3)
    np.testing.assert_array_equal(first, run(SampleKey(1, 0, 5)))
    for other in (SampleKey(1, 0, 6), SampleKey(1, 1, 5), SampleKey(2, 0, 5)):
        assert (first != run(other)).any()
    assert (first != run(SampleKey(1, 0, 5), stream=2)).any()
    np.random.seed(0)  # without a key: the host's generator
    first, second = run(None), run(None)
    assert (first != second).any()
    np.random.seed(0)
    np.testing.assert_array_equal(first, run(None))


def test_tiny_and_narrow_images() -> None:
    for height, width in ((1, 1), (1, 300), (300, 2)):
        for position in range(20):
            results = {
                'img': picture(0, height, width),
                'sample_key': SampleKey(0, 0, position),
            }
            assert RandomGeometry(16).transform(results)['img'].shape == (16, 16, 3)


def test_rectangular_crop() -> None:
    transform = RandomGeometry((20, 30), rotate90=False)
    results = transform.transform({'img': picture(0, 90, 90)})
    assert results['img'].shape == (20, 30, 3)
    assert 'crop_size=(20, 30)' in repr(transform)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'crop_size': 0}, 'crop_size=0, expected at least 1'),
        ({'crop_size': (8, 9)}, 'expected a square'),
        ({'scale': (2.0, 0.5)}, r'scale=\(2.0, 0.5\), expected 0 <'),
        ({'flip_prob': 1.5}, 'flip_prob=1.5, expected 0 to 1'),
        ({'stream': 0}, 'stream=0, expected 1 to 255'),
    ],
)
def test_errors(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomGeometry(**kwargs)
