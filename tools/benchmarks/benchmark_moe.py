"""Time FFN-MoE against the dense FFN, and a mixed batch against separate passes.

python -m tools.benchmarks.benchmark_moe [--arch b] [--img-size 512] [--clock cpu]

1. The FFN of one layer: a batch that mixes the data sets, through FFN-MoE and through
   the dense FFN of the same width; forward, and forward with backward.
2. A training step of MoE-MDF (ViTMoE, a UPerHead for each data set, loss, gradients):
   one mixed batch against one pass for each data set, as the release runs it.

One process, all interleaved round by round in rotating order; what is the reference
runs twice a round, and if these two differ by more than 3 % the measurement is rejected
(exit status 3).  Before that the outputs and losses are compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.models.backbones import ARCHS, resolve_arch
from s5_mm.models.layers import FeedForward, FFNMoE
from s5_mm.models.segmentors import MultiDatasetSegmentor
from s5_mm.registry import MODELS
from s5_mm.utils.routing import contiguous_slices

from .side_by_side import (
    CLOCKS,
    control_holds,
    describe_machine,
    measure,
    print_table,
)

AGAIN = ' again (A/A)'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__.split('\n')[0], __file__)
    parser.add_argument('--arch', default='b', choices=sorted(ARCHS))
    parser.add_argument('--img-size', type=int, default=512, help='pixels')
    parser.add_argument('--datasets', type=int, default=4, help='data sets in a batch')
    parser.add_argument('--part-features', type=int, default=256)
    parser.add_argument('--samples', type=int, default=2, help='of each data set')
    parser.add_argument('--rounds', type=int, default=15, help='of the FFN')
    parser.add_argument('--step-rounds', type=int, default=5, help='of the step')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--clock', default='wall', choices=sorted(CLOCKS))
    return parser.parse_args(argv)


def ffn_runs(args: argparse.Namespace, train: bool) -> dict[str, Callable[[], object]]:
    """Build the dense FFN and FFN-MoE on the same weights.

    Returns:
        What runs them, by name.
    """
    width = resolve_arch(args.arch).embed_dims
    names = [str(index) for index in range(args.datasets)]
    dense = FeedForward(width, 4 * width)
    mixed = FFNMoE(width, 4 * width, args.part_features, names)
    mixed.load_state_dict(dense.state_dict())
    tokens = torch.randn(args.datasets, (args.img_size // 16) ** 2, width)
    tokens.requires_grad_(train)
    slices = contiguous_slices(names)
    with torch.no_grad():
        worst = (dense(tokens) - mixed(tokens, slices=slices)).abs().max().item()
    if worst > 1e-4:
        raise SystemExit(f'FFN-MoE and the dense FFN differ by {worst:.1e}')

    def run(ffn: Callable[..., Tensor], **routing: object) -> None:
        with torch.set_grad_enabled(train):
            out = ffn(tokens, **routing)
            if train:
                out.backward(torch.ones_like(out))

    return {
        'dense': lambda: run(dense),
        f'dense{AGAIN}': lambda: run(dense),
        'FFN-MoE, mixed batch': lambda: run(mixed, slices=slices),
    }


def build_model(args: argparse.Namespace) -> MultiDatasetSegmentor:
    """Build MoE-MDF of the size that was asked for, with 7 classes a data set."""
    width = resolve_arch(args.arch).embed_dims
    init_default_scope('mmseg')
    return MODELS.build(
        dict(
            type='s5_mm.MultiDatasetSegmentor',
            backbone=dict(
                type='s5_mm.ViTMoE',
                arch=args.arch,
                img_size=args.img_size,
                part_features=args.part_features,
                drop_path_rate=0.0,
            ),
            decode_head=dict(
                type='UPerHead',
                in_channels=[width] * 4,
                in_index=[0, 1, 2, 3],
                channels=256,
                dropout_ratio=0.0,
                norm_cfg=dict(type='s5_mm.SyncBN'),
                align_corners=False,
                loss_decode=dict(type='s5_mm.PixelCrossEntropy'),
            ),
            datasets={str(i): dict(num_classes=7) for i in range(args.datasets)},
        )
    ).train()


def step_runs(args: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Build a training step over a mixed batch and over separate passes.

    Returns:
        What runs them, by name.
    """
    model = build_model(args)
    side = args.img_size
    names = [str(i) for i in range(args.datasets) for _ in range(args.samples)]
    images = torch.randn(len(names), 3, side, side)
    samples = []
    for name in names:
        sample = SegDataSample(metainfo=dict(dataset_name=name))
        labels = torch.randint(0, 7, (1, side, side), dtype=torch.uint8)
        sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)

    def passes(*parts: slice) -> float:
        model.zero_grad()
        total = 0.0
        for part in parts:
            total += sum(model.loss(images[part], samples[part]).values())
        total.backward()
        return float(total)

    whole = slice(0, len(names))
    each = [
        slice(i * args.samples, (i + 1) * args.samples) for i in range(args.datasets)
    ]
    mixed, separate = passes(whole), passes(*each)
    if abs(mixed - separate) > 1e-4 * abs(separate):
        raise SystemExit(f'the losses differ: mixed {mixed}, separate {separate}')
    return {
        'separate passes': lambda: passes(*each),
        f'separate passes{AGAIN}': lambda: passes(*each),
        'one mixed batch': lambda: passes(whole),
    }


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    args = parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    clock, trusted = CLOCKS[args.clock], True
    tokens = (args.img_size // 16) ** 2
    for train in (False, True):
        times = measure(ffn_runs(args, train), args.rounds, clock)
        mode = 'forward + backward' if train else 'forward'
        print(
            f'FFN of ViT-{args.arch.upper()}, {mode}, fp32, {args.datasets} data sets '
            f'x {tokens} tokens, part_features {args.part_features}, {args.rounds} '
            f'rounds, {args.clock} time'
        )
        print_table(times, 'dense')
        trusted &= control_holds(times, 'dense', f'dense{AGAIN}')
    if args.step_rounds:
        times = measure(step_runs(args), args.step_rounds, clock)
        print(
            f'training step of MoE-MDF, ViT-{args.arch.upper()}, fp32, {args.datasets} '
            f'data sets x {args.samples} images of {args.img_size} px, '
            f'{args.step_rounds} rounds, {args.clock} time'
        )
        print_table(times, 'separate passes')
        trusted &= control_holds(times, 'separate passes', f'separate passes{AGAIN}')
    print(describe_machine())
    return 0 if trusted else 3


if __name__ == '__main__':
    start_command(main)
