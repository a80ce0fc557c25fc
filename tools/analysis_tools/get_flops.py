"""Print the parameters and multiply-adds of a configured model, part by part.

python tools/analysis_tools/get_flops.py CONFIG [--shape 512 512]
python tools/analysis_tools/get_flops.py S4P_CONFIG --iteration 12 12 0

The model is built on torch's meta device: nothing is allocated or computed, so ViT-H
takes seconds on a laptop. One multiply-add (MAC) is two FLOPs. Counted are matrix
products, attention and convolutions; bias, normalisation, activation, pooling and
interpolation are not. What the paper calls 178.3 GFLOPs for ViT-B is this count in
GMAC.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from s5_mm.cli.arguments import add_options_argument
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.cli.config import read_with_options
from s5_mm.cli.meta import build_on_meta, count_params
from s5_mm.models.data_preprocessors.cutmix import MixPlan

_ATTENTION = ('bmm', 'baddbmm', 'attention')


class Part(NamedTuple):
    """One row of the table.

    Attributes:
        name: Part of the model.
        params: Number of its parameters.
        macs: Multiply-adds of one forward pass.
    """

    name: str
    params: int
    macs: int


def _split(ops: dict[object, int]) -> tuple[int, int]:
    """Split FLOPs by operator into the MACs of attention's core and of the rest."""
    core = sum(n for op, n in ops.items() if any(key in str(op) for key in _ATTENTION))
    return core // 2, (sum(ops.values()) - core) // 2


def _samples(model: BaseModel, dataset: str | None) -> list[SegDataSample] | None:
    """Say which data set the image is of, to a model that asks.

    Raises:
        ValueError: The model does not know the data set.
    """
    known = getattr(model, 'datasets', None)
    if dataset is not None and dataset not in (known or ()):
        raise ValueError(f'--dataset {dataset}: the model has {list(known or ())}')
    if known is None:
        return None
    return [SegDataSample(metainfo=dict(dataset_name=dataset or known[0]))]


def count(
    model: BaseModel, height: int, width: int, dataset: str | None = None
) -> list[Part]:
    """Count one forward pass of one RGB image.

    Args:
        model: Model on the meta device whose ``forward(mode='tensor')`` takes images.
        height: Image height in pixels.
        width: Image width in pixels.
        dataset: Data set of the image, for a model of several; default the first.

    Returns:
        The parts; parameters and MACs add up to those of the model.
    """
    image = torch.empty(1, 3, height, width, device='meta')
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(image, _samples(model, dataset), mode='tensor')
    flops = counter.get_flop_counts()
    root = type(model).__name__

    def macs(name: str) -> tuple[int, int]:
        # mmseg calls `decode_head.forward`, not the module, which no hook sees; so
        # the outermost counted modules at or below the name are summed.
        names, path = [], f'{root}.{name}'
        for key in sorted(flops):
            inside = key == path or key.startswith(f'{path}.')
            if inside and not any(key.startswith(f'{known}.') for known in names):
                names.append(key)
        split = [_split(flops[key]) for key in names]
        return sum(core for core, _ in split), sum(rest for _, rest in split)

    parts = []
    for name, child in model.named_children():
        core, rest = macs(name)
        params = count_params(child)
        if isinstance(getattr(child, 'layers', None), nn.ModuleList):
            pyramid = [key for key, _ in child.named_children() if key[:3] == 'fpn']
            modules = [getattr(child, key) for key in pyramid]
            pyramid_macs = sum(sum(macs(f'{name}.{key}')) for key in pyramid)
            # Batched products outside of the layers resize the position embedding.
            rest += core - pyramid_macs
            core = macs(f'{name}.layers')[0]
            rest -= core
            params -= count_params(*modules)
            parts += [
                Part(f'{name}: linear maps', params, rest),
                Part(f'{name}: attention core', 0, core),
                Part(f'{name}: feature pyramid', count_params(*modules), pyramid_macs),
            ]
        elif params or core + rest:
            parts.append(Part(name, params, core + rest))
    elsewhere = sum(_split(flops['Global'])) - sum(part.macs for part in parts)
    if elsewhere:
        parts.append(Part('outside of these', 0, elsewhere))
    return parts


def count_iteration(
    model: BaseModel, labelled: int, unlabelled: int, partners: int, side: int
) -> int:
    """Count one iteration of S4P: teacher, student, gradients.

    Args:
        model: A FixMatch model on the meta device.
        labelled: Labelled images B_l.
        unlabelled: Unlabelled images B_u.
        partners: Weak views of CutMix partners that are images of their own; 0 if
            partners come from the batch.
        side: Side of the images in pixels.

    Returns:
        FLOPs, two for a multiply-add.
    """
    weak = unlabelled + partners
    with torch.device('meta'):
        inputs = dict(
            sup=torch.empty(labelled, 3, side, side),
            unsup_weak=torch.empty(weak, 3, side, side),
            unsup_strong=torch.empty(unlabelled, 3, side, side),
        )
        masks = torch.empty(labelled, 1, side, side, dtype=torch.uint8)
        mix = MixPlan(
            region=torch.empty(unlabelled, side, side, dtype=torch.bool),
            partner=torch.empty(unlabelled, dtype=torch.long),
            valid=torch.empty(weak, side, side, dtype=torch.bool),
        )
    samples = [SegDataSample(gt_sem_seg=PixelData(data=mask)) for mask in masks]
    counter = FlopCounterMode(display=False)
    with counter:
        losses = model.train().loss(inputs, dict(sup=samples), mix)
        sum(value for key, value in losses.items() if 'loss' in key).backward()
    return counter.get_total_flops()


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__.split('\n')[0], __file__)
    parser.add_argument('config', help='config file of the model')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=(512, 512),
        metavar=('H', 'W'),
        help='image size in pixels (default: 512 512)',
    )
    parser.add_argument(
        '--dataset', help='whose path through a model of several data sets is counted'
    )
    parser.add_argument(
        '--iteration',
        type=int,
        nargs=3,
        metavar=('LABELLED', 'UNLABELLED', 'PARTNERS'),
        help='count a training iteration of FixMatch with so many images instead',
    )
    add_options_argument(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    args = parse_args(argv)
    config = read_with_options(args.config, args.cfg_options)
    if config.get('default_scope') in ('mmdet', 'mmrotate'):
        raise ValueError(
            f'{args.config} is a detector: how much it computes depends on what it '
            'finds; segmentors are counted'
        )
    if args.iteration:
        with torch.device('meta'):
            model = MODELS.build(config.model)
        flops = count_iteration(model, *args.iteration, args.shape[0])
        print(f'{args.config}: {flops / 1e12:.2f} TFLOP an iteration')
        return
    model = build_on_meta(config)
    parts = count(model, *args.shape, args.dataset)
    print(f'{args.config} at {args.shape[0]} x {args.shape[1]}')
    print(f'{"":32}{"params [M]":>12}{"GMAC":>10}')
    total = Part('total', sum(p.params for p in parts), sum(p.macs for p in parts))
    for part in [*parts, total]:
        print(f'{part.name:32}{part.params / 1e6:12.2f}{part.macs / 1e9:10.1f}')
    print(f'{"":32}{"":12}{2 * total.macs / 1e12:10.3f} TFLOP')


if __name__ == '__main__':
    start_command(main)
