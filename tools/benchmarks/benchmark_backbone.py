"""Compare the speed of our ViT with timm's and mmseg's on the same weights.

python -m tools.benchmarks.benchmark_backbone [--arch b] [--img-size 512]

Times mean little on a shared machine, so this prints ratios: one process, one thread
count, all models interleaved round by round in rotating order, outputs compared first.
Our model runs twice a round; if these two differ by more than 3 % the measurement is
rejected (exit status 3); `--clock cpu` counts the process's own CPU time instead of
the wall's, which is what a machine busy with other work leaves to compare. `--train`
measures forward and backward. The row 'no oneDNN' is our model with
`torch.backends.mkldnn` switched off, i.e. on the same matrix kernels as the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from s5_mm.checkpoints import load_into
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.models.backbones import ARCHS, ViT, resolve_arch

from .side_by_side import (
    CLOCKS,
    control_holds,
    describe_machine,
    measure,
    print_table,
)

Taps = Callable[[Tensor], 'list[Tensor]']


def build_timm(ours: ViT, img_size: int) -> Taps:
    """Build timm's ViT on our weights; returns its taps as NCHW maps."""
    from timm.models.vision_transformer import VisionTransformer

    arch = ours.arch
    model = VisionTransformer(
        img_size=img_size,
        patch_size=ours.patch_size,
        embed_dim=arch.embed_dims,
        depth=arch.num_layers,
        num_heads=arch.num_heads,
        class_token=False,
        global_pool='',
        num_classes=0,
    )
    model.train(ours.training)
    load_into(ours, model.state_dict(), 'timm')
    return lambda x: model.forward_intermediates(
        x, indices=list(arch.out_indices), norm=False, intermediates_only=True
    )


def build_mmseg(ours: ViT, img_size: int) -> Taps:
    """Build mmseg's VisionTransformer on our weights; returns its taps."""
    from mmseg.models.backbones import VisionTransformer

    arch = ours.arch
    model = VisionTransformer(
        img_size=img_size,
        patch_size=ours.patch_size,
        embed_dims=arch.embed_dims,
        num_layers=arch.num_layers,
        num_heads=arch.num_heads,
        out_indices=list(arch.out_indices),
        with_cls_token=False,
        patch_bias=True,
        norm_cfg=dict(type='LN', eps=1e-6),
    )
    model.train(ours.training)
    weights = ours.state_dict()
    slot = torch.zeros(1, 1, arch.embed_dims)
    weights['pos_embed'] = torch.cat([slot, weights['pos_embed']], dim=1)
    model.load_state_dict(weights | {'cls_token': slot}, strict=True)
    return lambda x: list(model(x))


def check_equal(reference: list[Tensor], other: list[Tensor], name: str) -> float:
    """Return the largest difference of two models' taps, or refuse.

    Args:
        reference: Our taps.
        other: Taps of the other model.
        name: Its name.

    Returns:
        The largest absolute difference.

    Raises:
        SystemExit: They differ by more than rounding explains (1e-4).
    """
    pairs = zip(reference, other, strict=True)
    worst = max((a - b).abs().max().item() for a, b in pairs)
    if worst > 1e-4:
        raise SystemExit(
            f'{name}: taps differ by {worst:.2e}; times would mean nothing'
        )
    return worst


def step(taps: Taps, image: Tensor, train: bool) -> None:
    """Run one forward pass, with ``train`` also the backward pass."""
    with torch.set_grad_enabled(train):
        maps = taps(image)
        if train:
            sum(tap.mean() for tap in maps).backward()


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__.split('\n')[0], __file__)
    parser.add_argument('--arch', default='b', choices=sorted(ARCHS))
    parser.add_argument('--img-size', type=int, default=512, help='pixels')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--clock', default='wall', choices=sorted(CLOCKS))
    parser.add_argument('--train', action='store_true', help='forward and backward')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    args = parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ours = ViT(args.arch, img_size=args.img_size, drop_path_rate=0, with_fpn=False)
    ours.train(args.train)

    def without_onednn(x: Tensor) -> list[Tensor]:
        torch.backends.mkldnn.enabled = False
        try:
            return ours.forward_intermediates(x)
        finally:
            torch.backends.mkldnn.enabled = True

    models: dict[str, Taps] = {}
    for name, build in (('timm', build_timm), ('mmseg', build_mmseg)):
        try:
            models[name] = build(ours, args.img_size)
        except ImportError as error:
            print(f'{name} is left out, it is not installed: {error}')
    image = torch.randn(args.batch_size, 3, args.img_size, args.img_size)
    with torch.no_grad():
        reference = ours.forward_intermediates(image)
        for name, taps in models.items():
            worst = check_equal(reference, taps(image), name)
            print(f'largest difference of the taps to {name}: {worst:.1e}')
    models = {
        'ours': ours.forward_intermediates,
        'ours again (A/A)': ours.forward_intermediates,
        'ours, no oneDNN': without_onednn,
        **models,
    }
    runs = {
        name: partial(step, taps, image, args.train) for name, taps in models.items()
    }
    times = measure(runs, args.rounds, CLOCKS[args.clock])

    mode = 'forward + backward' if args.train else 'forward'
    tokens = (args.img_size // ours.patch_size) ** 2
    sizes = resolve_arch(args.arch)
    print(
        f'ViT-{args.arch.upper()} ({sizes.embed_dims} x {sizes.num_layers}), {mode}, '
        f'fp32, batch {args.batch_size}, {tokens} tokens, {args.rounds} rounds, '
        f'{args.clock} time'
    )
    print_table(times, 'ours')
    print(describe_machine())
    return 0 if control_holds(times, 'ours', 'ours again (A/A)') else 3


if __name__ == '__main__':
    start_command(main)
