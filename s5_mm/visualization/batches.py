"""Pictures of a batch: what the pipeline delivers and what the model is fed."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .drawing import colorize, hatch, legend
from .oriented_boxes import OrientedBoxes, draw_oriented_boxes
from .panels import grid

_FADED = 0.25


class BatchRow(NamedTuple):
    """One sample of a batch.

    Attributes:
        group: Its data set or branch.
        pictures: Title -> uint8 (H, W, 3) RGB.
        info: ``classes`` and ``palette`` of its data set.
        caption: Line of text below it.
    """

    group: str
    pictures: dict[str, np.ndarray]
    info: Mapping[str, Any]
    caption: str


def batch_panels(
    raw: Mapping[str, Any],
    fed: Mapping[str, Any],
    preprocessor: nn.Module,
    metainfo: Mapping[str, Any],
    most: int = 4,
    tile_size: int = 256,
    scale_boxes: bool = False,
) -> dict[str, np.ndarray]:
    """Draw a batch, a picture for each data set or branch in it.

    What is fed to the model is drawn with its normalisation undone and its three
    channels as red, green and blue: a swapped order shows as wrong colours.

    Args:
        raw: The batch of the loader: ``inputs``, uint8 (3, H, W) in a list, or
            (N, 3, H, W) by source.
        fed: What the preprocessor makes of it: ``inputs``, float (N, 3, H, W), a list
            of (3, H, W), or by branch, and ``data_samples``.
        preprocessor: Has the buffers ``mean`` and ``std`` if it normalises.
        metainfo: Of the data set; ``classes`` and ``palette``, or ``datasets`` with
            those of each.
        most: Samples of each picture.
        tile_size: Side of a tile in pixels.
        scale_boxes: Whether boxes are in the coordinates of the file, as those of
            validation are, and not of the input.

    Returns:
        Name of the data set or branch -> uint8 (H, W, 3) RGB.

    Raises:
        ValueError: If a mask or a label is no class of its data set.
    """
    if isinstance(fed['inputs'], Mapping):
        rows = _branches(raw, fed, preprocessor, metainfo, most)
    else:
        rows = _samples(raw, fed, preprocessor, metainfo, tile_size, scale_boxes)
    groups: dict[str, list[BatchRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return {name: _panel(found[:most], tile_size) for name, found in groups.items()}


def undo_normalisation(images: Tensor, preprocessor: nn.Module) -> np.ndarray:
    """Bring images that a model is fed back to 0-255.

    Args:
        images: float (N, C, H, W) or (C, H, W); the first three channels are taken.
        preprocessor: What normalised them.

    Returns:
        uint8 (N, H, W, 3) or (H, W, 3).
    """
    images = images.float()
    if getattr(preprocessor, '_enable_normalize', hasattr(preprocessor, 'mean')):
        std, mean = preprocessor.get_buffer('std'), preprocessor.get_buffer('mean')
        images = images * std + mean
    images = images[..., :3, :, :].round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(images.movedim(-3, -1).cpu().numpy())


def _branches(
    raw: Mapping, fed: Mapping, preprocessor: nn.Module, metainfo: Mapping, most: int
) -> list[BatchRow]:
    """Rows of semi-supervised training: labelled samples, then weak and strong."""
    inputs, samples = fed['inputs'], fed['data_samples']
    views = {
        name: undo_normalisation(images[:most], preprocessor)
        for name, images in inputs.items()
    }
    rows = []
    for sample, loaded, image in zip(
        samples.get('sup', ()),
        raw['inputs'].get('sup', ()),
        views.get('sup', ()),
        strict=False,
    ):
        pictures = {'loaded': _channels_last(loaded), 'fed to the model': image}
        pictures['mask'] = _mask(sample, metainfo)
        rows.append(BatchRow('sup', pictures, metainfo, _name(sample)))
    if 'unsup_strong' not in views:
        return rows
    mix = fed['mix']
    for number, strong in enumerate(views['unsup_strong']):
        sample = samples['unsup'][number]
        region = mix.region[number].cpu().numpy()
        valid = mix.valid[number].cpu().numpy()
        faded = (strong * _FADED + 255 * (1 - _FADED)).astype(np.uint8)
        pictures = {
            'loaded': _channels_last(raw['inputs']['unsup'][number]),
            'weak view': hatch(views['unsup_weak'][number], ~valid),
            'strong view': strong,
            'by CutMix': np.where(region[..., None], strong, faded),
        }
        rows.append(BatchRow('unsup', pictures, {}, _name(sample)))
    return rows


def _samples(
    raw: Mapping,
    fed: Mapping,
    preprocessor: nn.Module,
    metainfo: Mapping,
    tile_size: int,
    scale_boxes: bool,
) -> list[BatchRow]:
    """Rows of a batch that is one list of samples."""
    loaded = raw['inputs']
    if isinstance(loaded, Mapping):
        loaded = [image for source in loaded.values() for image in source]
    rows = []
    for before, image, sample in zip(
        loaded, fed['inputs'], fed['data_samples'], strict=True
    ):
        dataset = sample.get('dataset_name') or ''
        info = metainfo.get('datasets', {}).get(dataset, metainfo)
        picture = undo_normalisation(image, preprocessor)
        pictures = {'loaded': _channels_last(before), 'fed to the model': picture}
        caption = _name(sample)
        if 'gt_sem_seg' in sample:
            pictures['mask'] = _mask(sample, info)
        if 'gt_instances' in sample and 'bboxes' in sample.gt_instances:
            boxes = _boxes(sample, scale_boxes)
            pictures['boxes'] = draw_oriented_boxes(
                picture, boxes, info['classes'], info['palette'], tile_size
            ).image
            caption += f'  {len(boxes.labels)} boxes'
        rows.append(BatchRow(dataset, pictures, info, caption))
    return rows


def _panel(rows: Sequence[BatchRow], tile_size: int) -> np.ndarray:
    """Put the rows of one data set or branch together."""
    titles = list(rows[0].pictures)
    info, footer = rows[0].info, None
    labelled = {'mask', 'boxes'} & set(titles)
    if labelled and info.get('classes') and info.get('palette'):
        width = len(titles) * (tile_size + 8) - 8
        line = max(tile_size // 9, 14)
        footer = legend(info['classes'], info['palette'], width, line)
    return grid(
        [list(row.pictures.values()) for row in rows],
        titles,
        [row.caption for row in rows],
        tile_size,
        footer=footer,
    )


def _mask(sample: Any, info: Mapping) -> np.ndarray:
    """The mask of a sample in the colours of its classes."""
    data = sample.gt_sem_seg.data
    mask = data.reshape(data.shape[-2:]).cpu().numpy()
    try:
        return colorize(mask, info['palette'])
    except ValueError as error:
        raise ValueError(f'{sample.img_path}: {error}') from error


def _boxes(sample: Any, scale: bool) -> OrientedBoxes:
    """The boxes of a sample in the coordinates of the input."""
    boxes = sample.gt_instances.bboxes
    if scale and hasattr(boxes, 'rescale_'):
        boxes = boxes.clone()
        boxes.rescale_(sample.scale_factor)
    values = getattr(boxes, 'tensor', boxes).cpu().numpy()
    return OrientedBoxes(values, sample.gt_instances.labels.cpu().numpy())


def _channels_last(image: Tensor) -> np.ndarray:
    """Bring a loaded image into the layout of pictures."""
    image = image[:3].to(torch.uint8).movedim(0, -1)
    return np.ascontiguousarray(image.cpu().numpy())


def _name(sample: Any) -> str:
    """How a sample is called."""
    return osp.basename(sample.get('img_path') or '')
