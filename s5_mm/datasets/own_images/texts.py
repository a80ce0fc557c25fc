"""The text of the config files of a first run."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from s5_mm.visualization.palette import categorical_palette

from .first_run import BATCH, LABELLED_ITERS, Run
from .folder import Folder, FolderPart
from .own_labels import Classes

_IMAGENET = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


class Found(NamedTuple):
    """Images, looked at and divided.

    Attributes:
        folder: Where they are.
        classes: What the masks mean.
        splits: Pairs by split.
        drawn: Splits that are lists, all in the folders of the training images; the
            others are folders of their own.
        statistics: Mean and standard deviation of the training images, RGB.
        unlabelled: Folder of images without masks, if there is one.
    """

    folder: Folder
    classes: Classes
    splits: dict[str, FolderPart]
    drawn: Collection[str]
    statistics: tuple[list[float], list[float]]
    unlabelled: Path | None


def list_name(name: str, split: str) -> str:
    """Build the name of the list of a split.

    Args:
        name: Of the run.
        split: Of the pairs.

    Returns:
        Name of the file.
    """
    return f'{name}_{split}.txt'


def data_text(base: str, run: Run, found: Found) -> str:
    """Write what the images are.

    Args:
        base: ``configs/_base_``, relative to the config.
        run: Name and choices of the run.
        found: The images.

    Returns:
        Text of the config of the data set.
    """
    folder, classes, splits, drawn, statistics, unlabelled = found
    root = os.path.join(folder.root.resolve(), '')
    palette = categorical_palette(len(classes.names))
    if classes.colours:
        palette = [
            list(value) for value in classes.values or () if isinstance(value, tuple)
        ]
    settings: dict[str, Any] = dict(
        img_suffix=folder.img_suffix, seg_map_suffix=folder.mask_suffix
    )
    if classes.label_map:
        settings['label_map'] = classes.label_map
    counts = ', '.join(f'{len(part.names)} {split}' for split, part in splits.items())
    first = splits['train']
    shared = f'img_path={first.images!r}, seg_map_path={first.masks!r}'
    lines = [
        f"# Images of one's own: {counts}.  Written by tools/new_dataset.py, yours",
        '# to change.  On another machine: --cfg-options data_root=FOLDER',
        f"_base_ = ['{base}/datasets/own_images.py']",
        f'data_root = {root!r}',
        f'num_classes = {len(classes.names)}',
    ]
    if run.weights is None:
        mean, std = statistics
        lines.append('# Of the training images, RGB.')
    else:
        mean, std = _IMAGENET
        lines.append("# ImageNet's, RGB: what the weights were trained with.")
    lines += [
        f'mean = {mean}',
        f'std = {std}',
        f'crop_size = ({run.crop}, {run.crop})',
        'images = dict(',
        "    type='s5_mm.SegDataset',",
        '    data_root=data_root,',
        *([f'    data_prefix=dict({shared}),'] if drawn else []),
        *(f'    {key}={value!r},' for key, value in settings.items()),
        '    metainfo=dict(',
        f'        classes={classes.names!r},',
        '        palette=[',
        *(f'            {colour},' for colour in palette),
        '        ],',
        '    ),',
        ')',
        'weak = dict(',
        "    type='s5_mm.RandomGeometry',",
        '    crop_size=crop_size,',
        '    scale=(0.5, 2.0),',
        '    flip_prob=0.5,',
        '    rotate90=True,',
        ')',
        'labelled = dict(',
        '    images,',
        f'    {_place(run.name, "train", splits["train"], drawn)},',
        '    pipeline=[',
        '        _base_.load,',
        "        dict(type='s5_mm.LoadMask'),",
        '        weak,',
        "        dict(type='s5_mm.PackSample'),",
        '    ],',
        ')',
        f'val = dict(images, {_place(run.name, "val", splits["val"], drawn)})',
    ]
    if 'test' in splits:
        place = _place(run.name, 'test', splits['test'], drawn)
        lines.append(f'test = dict(images, {place})')
    if unlabelled is not None:
        below = os.path.join(unlabelled.resolve(), '')
        lines += [
            'unlabelled = dict(',
            "    type='s5_mm.UnlabelledDataset',",
            f'    data_root={_below_root(below, root)},',
            "    data_dir='.',",
            "    pipeline=[_base_.load, weak, dict(type='s5_mm.PackSample')],",
            ')',
        ]
    lines += [
        'train_dataloader = dict(dataset=dict(sources=dict(sup=labelled)))',
        'val_dataloader = dict(dataset=val)',
        f'test_dataloader = dict(dataset={"test" if "test" in splits else "val"})',
    ]
    return '\n'.join(lines) + '\n'


def _place(name: str, split: str, part: FolderPart, drawn: Collection[str]) -> str:
    """Write where the pairs of a split are."""
    if split in drawn:
        # The list lies next to the config.
        return f"ann_file='{{{{ fileDirname }}}}/{list_name(name, split)}'"
    return f'data_prefix=dict(img_path={part.images!r}, seg_map_path={part.masks!r})'


def _below_root(folder: str, root: str) -> str:
    """Write a folder by the data set's root, if it is below, so that both move."""
    if folder.startswith(root):
        return f'data_root + {folder[len(root) :]!r}'
    return repr(folder)


def leaf_text(base: str, path: str, run: Run, semi: bool) -> str:
    """Write the model and its schedule.

    Args:
        base: ``configs/_base_``, relative to the config.
        path: The config itself, as somebody types it.
        run: Name and choices of the run.
        semi: Whether there are unlabelled images.

    Returns:
        Text of the leaf.
    """
    arch = run.arch
    kind = 'images with and without masks' if semi else 'images with masks'
    stride = run.crop * 2 // 3
    backbone = []
    model_base = 'vit-t' if arch == 't' else 'vit-b'
    if arch == 'l':
        backbone.append("arch='l'")
    if run.crop != (128 if arch == 't' else 512):
        backbone.append(f'img_size={run.crop}')
    if run.weights is not None:
        backbone.append(f"init_cfg=dict(type='Pretrained', checkpoint={run.weights!r})")
    slide = f'crop_size=({run.crop}, {run.crop}), stride=({stride}, {stride})'
    lines = [
        f'# ViT-{arch.upper()} + UPerNet on {kind}:',
        f'#   python tools/train.py {path}',
        '_base_ = [',
        f"    '{base}/models/fixmatch_upernet_{model_base}.py',",
        f"    './{run.name}_data.py',",
        f"    '{base}/schedules/own_images.py',",
        ']',
        'model = dict(',
    ]
    if not semi:
        lines += [
            "    type='s5_mm.SemiBaseSegmentor',  # learns from masks alone",
            '    semi_train_cfg=dict(_delete_=True, sync_normalizer=True),',
        ]
    elif run.weights is None:
        lines += [
            '    # From a random start labels come first (configs/s4p/vit-t_dubai.py).',
            '    semi_train_cfg=dict(burn_in=1 / 3),',
        ]
    lines += [
        '    data_preprocessor=dict(mean=_base_.mean, std=_base_.std),',
        '    segmentor=dict(',
        *_dict('backbone', backbone),
        '        decode_head=dict(num_classes=_base_.num_classes),',
        '        # Windows overlap by a third, as in docs/inference.md.',
        f"        test_cfg=dict(mode='slide', {slide}),",
        '    ),',
        ')',
    ]
    if semi:
        lines += [
            '# As many images without masks as with masks.',
            'train_dataloader = dict(',
            f'    batch_size={2 * BATCH},',
            f'    sampler=dict(shares=[{BATCH}, {BATCH}]),',
            '    dataset=dict(sources=dict(unsup=_base_.unlabelled)),',
            ')',
            f'auto_scale_lr = dict(base_batch_size={2 * BATCH})',
            'custom_hooks = [',
            "    dict(type='s5_mm.PseudoLabelStatsHook', interval=50),",
            "    dict(type='s5_mm.PseudoLabelVisHook', interval=200),",
            ']',
        ]
    if arch != 't':
        lines.append('optim_wrapper = dict(optimizer=dict(lr=5e-5))  # release')
    if run.iters != LABELLED_ITERS:
        lines += _schedule(run.iters)
    return '\n'.join(lines) + '\n'


def _dict(name: str, entries: list[str]) -> list[str]:
    """Write a dictionary of the segmentor, an entry per line if there are several."""
    if len(entries) < 2:
        return [f'        {name}=dict({entry}),' for entry in entries]
    return [
        f'        {name}=dict(',
        *(f'            {entry},' for entry in entries),
        '        ),',
    ]


def _schedule(iters: int) -> list[str]:
    """Write a schedule of another length than the base's."""
    quarter = iters // 4
    return [
        f'max_iters = {iters}',
        'warmup, cosine = _base_.param_scheduler',
        "cosine.update(T_max=max_iters - warmup['end'], end=max_iters)",
        'param_scheduler = [warmup, cosine]',
        f'train_cfg = dict(max_iters=max_iters, val_interval={quarter})',
        f'default_hooks = dict(checkpoint=dict(interval={quarter}))',
    ]


def twin_text(run: Run) -> str:
    """Write the run without the unlabelled images, which shows what they bring.

    Args:
        run: Name and choices of the run.

    Returns:
        Text of the twin of the leaf.
    """
    return f"""\
# The supervised-only twin of {run.name}.py: same images with masks, same iterations.
_base_ = ['./{run.name}.py']
model = dict(
    type='s5_mm.SemiBaseSegmentor',
    semi_train_cfg=dict(_delete_=True, sync_normalizer=True),
)
train_dataloader = dict(
    batch_size={BATCH},
    sampler=dict(shares=[{BATCH}]),
    dataset=dict(sources=dict(_delete_=True, sup=_base_.labelled)),
)
auto_scale_lr = dict(base_batch_size={BATCH})
custom_hooks = []  # no pseudo-labels to watch
"""
