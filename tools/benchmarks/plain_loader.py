"""An unlabelled sample as the authors' release loads it: PIL, in the worker.

The comparator of ``benchmark_dataloader.py``, written from a description of the
release's augmentation: long side times 0.5 to 2, crop padded with black, two flips, two
strong views (jitter, grey, blur) on copies, of which the second is not used, three
normalised float images, and a CutMix box and an ignore mask as full maps, the mask by
way of an image of floats.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor
from torchvision import transforms

_TO_TENSOR = transforms.Compose(
    [
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)
_JITTER = transforms.ColorJitter(0.5, 0.5, 0.5, 0.25)
_GREY = transforms.RandomGrayscale(p=0.2)
_PADDED = 254


def plain_sample(path: Path, size: int = 512) -> tuple[Tensor, ...]:
    """Load an unlabelled image.

    Args:
        path: The image.
        size: Side of the crop in pixels.

    Returns:
        Weak view and two strong views, float32 (3, size, size); ignore mask, long, and
        CutMix box, float32, (size, size).
    """
    with Image.open(path) as file:
        image = file.convert('RGB')
    mask = Image.fromarray(np.zeros(image.size[::-1], np.uint8))
    image, mask = _geometry(image, mask, size)
    weak, *strong = (image.copy() for _ in range(3))
    views = [weak, *map(_strong, strong)]
    ignore = torch.from_numpy(np.array(Image.fromarray(np.zeros((size, size))))).long()
    ignore[torch.from_numpy(np.array(mask)).long() == _PADDED] = 255
    return *map(_TO_TENSOR, views), ignore, _box(size)


def _geometry(
    image: Image.Image, mask: Image.Image, size: int
) -> tuple[Image.Image, Image.Image]:
    """Resize, pad, crop and flip."""
    width, height = image.size
    longest = max(width, height)
    scale = random.randint(longest // 2, 2 * longest) / longest
    shape = round(width * scale), round(height * scale)
    image = image.resize(shape, Image.Resampling.BILINEAR)
    mask = mask.resize(shape, Image.Resampling.NEAREST)
    border = (0, 0, max(size - shape[0], 0), max(size - shape[1], 0))
    image = ImageOps.expand(image, border, 0)
    mask = ImageOps.expand(mask, border, _PADDED)
    x = random.randint(0, image.size[0] - size)
    y = random.randint(0, image.size[1] - size)
    parts = [part.crop((x, y, x + size, y + size)) for part in (image, mask)]
    for flip in (
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.FLIP_TOP_BOTTOM,
    ):
        if random.random() < 0.5:
            parts = [part.transpose(flip) for part in parts]
    return parts[0], parts[1]


def _strong(image: Image.Image) -> Image.Image:
    """Jitter, grey and blur a copy."""
    if random.random() < 0.8:
        image = _JITTER(image)
    image = _GREY(image)
    if random.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))
    return image


def _box(size: int) -> Tensor:
    """Draw a CutMix box as a full map, float32 (size, size)."""
    box = torch.zeros(size, size)
    if random.random() > 0.5:
        return box
    area = random.uniform(0.02, 0.4) * size * size
    while True:
        ratio = random.uniform(0.3, 1 / 0.3)
        width, height = int(math.sqrt(area / ratio)), int(math.sqrt(area * ratio))
        x, y = random.randrange(size), random.randrange(size)
        if x + width <= size and y + height <= size:
            box[y : y + height, x : x + width] = 1
            return box
