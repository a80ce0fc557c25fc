"""Batched photometric operations against torchvision, image by image."""

import colorsys
import itertools

import pytest
import torch
from torchvision.transforms import functional as reference

from s5_mm.models.data_preprocessors import photometric

IMAGES = torch.rand(6, 3, 17, 23, generator=torch.Generator().manual_seed(0))
# Flat grey, black, white and pure colours: the corners of HSV.
IMAGES[0, :, :4] = 0.5
IMAGES[0, :, 4:8] = 0.0
IMAGES[0, :, 8:12] = 1.0
IMAGES[1] = torch.eye(3).repeat(131, 1)[: 17 * 23].view(17, 23, 3).permute(2, 0, 1)
IMAGES = IMAGES.double()
FACTORS = torch.tensor([0.0, 0.5, 0.9, 1.0, 1.3, 1.5], dtype=torch.float64)


@pytest.mark.parametrize('name', ['brightness', 'contrast', 'saturation'])
def test_blends_equal_torchvision(name):
    ours = getattr(photometric, f'adjust_{name}')(IMAGES, FACTORS)
    for image, factor, got in zip(IMAGES, FACTORS.tolist(), ours, strict=True):
        want = getattr(reference, f'adjust_{name}')(image, factor)
        torch.testing.assert_close(got, want, atol=1e-12, rtol=0)


def _turned(image, shift):
    """The hue of each pixel turned by Python's own HSV conversion."""
    want = torch.empty_like(image)
    for y, x in itertools.product(*map(range, image.shape[1:])):
        h, s, v = colorsys.rgb_to_hsv(*image[:, y, x].tolist())
        rgb = colorsys.hsv_to_rgb((h + shift) % 1.0, s, v)
        want[:, y, x] = torch.tensor(rgb, dtype=image.dtype)
    return want


@pytest.mark.parametrize('shift', [-0.5, -0.25, -0.1, 0.0, 0.17, 0.25, 0.5])
def test_hue_equals_torchvision(shift):
    ours = photometric.adjust_hue(IMAGES, torch.full((6,), shift).double())
    # torchvision's own conversion loses digits to fp32 on the way.
    want = reference.adjust_hue(IMAGES, shift)
    torch.testing.assert_close(ours, want, atol=2e-6, rtol=0)


def test_hue_of_each_image_turns_by_its_own_shift():
    shift = torch.linspace(-0.5, 0.5, 6, dtype=torch.float64)
    ours = photometric.adjust_hue(IMAGES, shift)
    for image, turn, got in zip(IMAGES, shift.tolist(), ours, strict=True):
        torch.testing.assert_close(got, _turned(image, turn), atol=1e-12, rtol=0)


def test_luma_equals_torchvision():
    torch.testing.assert_close(
        photometric.luma(IMAGES), reference.rgb_to_grayscale(IMAGES), atol=1e-12, rtol=0
    )


def test_blur_equals_the_direct_double_sum():
    sigma = torch.tensor([0.1, 0.4, 0.8, 1.2, 1.6, 2.0], dtype=torch.float64)
    ours = photometric.gaussian_blur(IMAGES, sigma, 2.0)
    radius, (height, width) = 8, IMAGES.shape[-2:]
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    rows = (torch.arange(height)[:, None] + offsets.long()).clamp(0, height - 1)
    columns = (torch.arange(width)[:, None] + offsets.long()).clamp(0, width - 1)
    for image, s, got in zip(IMAGES, sigma, ours, strict=True):
        weight = torch.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * s * s))
        weight = weight / weight.sum()
        window = image[:, rows[:, None, :, None], columns[None, :, None, :]]
        want = (window * weight).sum(dim=(-2, -1))
        torch.testing.assert_close(got, want, atol=1e-12, rtol=0)


def test_blur_leaves_a_flat_image_alone():
    flat = torch.full((1, 3, 9, 9), 0.3)
    blurred = photometric.gaussian_blur(flat, torch.tensor([2.0]), 2.0)
    torch.testing.assert_close(blurred, flat)
