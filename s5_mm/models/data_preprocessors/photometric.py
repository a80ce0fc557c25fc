"""Photometric operations on a batch, every image with its own parameter.

The formulas are those of torchvision's tensor backend (which takes one parameter
for the whole batch): ITU-R 601 luma, blending with clamping, hue in HSV.  All work
on float images in [0, 1] and run on the device of their input.  PIL, which the S5
release uses, rounds to 8 bits after every operation; these do not.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# ITU-R 601 luma, the weights of torchvision's `rgb_to_grayscale`.
_LUMA = (0.2989, 0.587, 0.114)


def luma(images: Tensor) -> Tensor:
    """Grey value of each pixel.

    Args:
        images: RGB in [0, 1], (N, 3, H, W).

    Returns:
        ITU-R 601 luma, (N, 1, H, W).
    """
    red, green, blue = images.split(1, dim=1)
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def _blend(images: Tensor, other: Tensor | float, factor: Tensor) -> Tensor:
    """Move from ``other`` (factor 0) over ``images`` (1) and beyond, clamped."""
    factor = factor.view(-1, 1, 1, 1)
    return (factor * images + (1 - factor) * other).clamp_(0, 1)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the brightness.

    Args:
        images: RGB in [0, 1], (N, 3, H, W).
        factor: Non-negative factor of each image, (N,); 1 changes nothing.

    Returns:
        Images of the same shape.
    """
    return _blend(images, 0.0, factor)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the contrast around the mean grey value of each image.

    Args:
        images: RGB in [0, 1], (N, 3, H, W).
        factor: Non-negative factor of each image, (N,); 1 changes nothing.

    Returns:
        Images of the same shape.
    """
    return _blend(images, luma(images).mean(dim=(1, 2, 3), keepdim=True), factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the saturation; factor 0 gives grey.

    Args:
        images: RGB in [0, 1], (N, 3, H, W).
        factor: Non-negative factor of each image, (N,); 1 changes nothing.

    Returns:
        Images of the same shape.
    """
    return _blend(images, luma(images), factor)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue.

    Args:
        images: RGB in [0, 1], (N, 3, H, W).
        shift: Turn of each image as a share of the full circle, (N,), in
            [-0.5, 0.5]; 0 changes nothing.

    Returns:
        Images of the same shape.
    """
    # For a colour of maximum V and chroma C at hue h, each channel is
    # V - C * clamp(min(k, 4 - k), 0, 1), k = (n + 6 h) mod 6, n = 5, 3, 1 for
    # R, G, B: the closed form of the six-sector table of HSV.
    value, channel = images.max(dim=1, keepdim=True)
    chroma = value - images.amin(dim=1, keepdim=True)
    safe = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    red, green, blue = images.split(1, dim=1)
    sextant = torch.where(
        channel == 0,
        (green - blue) / safe,
        torch.where(channel == 1, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sextant = sextant + 6 * shift.view(-1, 1, 1, 1)
    offset = images.new_tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1)
    k = (offset + sextant).remainder(6)
    return value - chroma * torch.minimum(k, 4 - k).clamp_(0, 1)


def gaussian_blur(images: Tensor, sigma: Tensor, max_sigma: float) -> Tensor:
    """Blur with a Gaussian, edges replicated.

    Args:
        images: Images, (N, C, H, W).
        sigma: Standard deviation of each image in pixels, (N,), positive.
        max_sigma: Upper bound of ``sigma``; fixes the size of the kernel (four
            standard deviations each side) without asking the device.

    Returns:
        Images of the same shape.
    """
    count, channels, height, width = images.shape
    radius = int(4 * max_sigma + 0.5)
    taps = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (taps / sigma.to(images.dtype).unsqueeze(1)) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    kernel = kernel.repeat_interleave(channels, dim=0)
    planes = images.reshape(1, count * channels, height, width)
    for shape, pad in (
        ((-1, 1, 1, 2 * radius + 1), (radius, radius, 0, 0)),
        ((-1, 1, 2 * radius + 1, 1), (0, 0, radius, radius)),
    ):
        planes = F.conv2d(
            F.pad(planes, pad, mode='replicate'),
            kernel.view(shape),
            groups=count * channels,
        )
    return planes.view_as(images)
