"""Compare the speed of our ViT with timm's and mmseg's on the same weights.

python tools/analysis_tools/benchmark_backbone.py [--arch b] [--img-size 512]

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
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from s5_mm.checkpoints import load_into
from s5_mm.models.backbones import ARCHS, ViT, resolve_arch

AA_TOLERANCE = 0.03
CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}
Taps = Callable[[Tensor], 'list[Tensor]']
Clock = Callable[[], float]


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


def step(taps: Taps, image: Tensor, train: bool, clock: Clock) -> float:
    """Time one forward pass, with ``train`` also the backward pass, in seconds."""
    start = clock()
    with torch.set_grad_enabled(train):
        maps = taps(image)
        if train:
            sum(tap.mean() for tap in maps).backward()
    return clock() - start


def measure(
    models: dict[str, Taps],
    image: Tensor,
    rounds: int,
    train: bool,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Time all models round by round, in rotating order.

    Args:
        models: Names and what returns their taps.
        image: Input (N, 3, H, W).
        rounds: Number of rounds; one more warms up.
        train: Whether to run the backward pass too.
        clock: What tells the seconds.

    Returns:
        Seconds of each round by model.
    """
    names, times = list(models), {name: [] for name in models}
    for index in range(rounds + 1):
        for name in names:
            seconds = step(models[name], image, train, clock)
            if index:
                times[name].append(seconds)
        names.append(names.pop(0))
    return times


def ratios(ours: list[float], other: list[float]) -> tuple[float, float]:
    """Return how many times longer ``other`` takes: by minima, by median of rounds."""
    rounds = [b / a for a, b in zip(ours, other, strict=True)]
    return min(other) / min(ours), statistics.median(rounds)


def describe_machine() -> str:
    """Describe what the ratios depend on: load, CPU, torch and its configuration."""
    cpu = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.exists():
        lines = info.read_text().splitlines()
        cpu = next((x.split(':')[1].strip() for x in lines if 'model name' in x), cpu)
    load = ' '.join(f'{value:.2f}' for value in os.getloadavg())
    return (
        f'CPU {cpu}, {os.cpu_count()} cores, {torch.get_num_threads()} threads used, '
        f'capability {torch.backends.cpu.get_cpu_capability()}, load average {load}\n'
        f'torch {torch.__version__}\n{torch.__config__.show()}'
    )


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
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
    times = measure(models, image, args.rounds, args.train, CLOCKS[args.clock])

    mode = 'forward + backward' if args.train else 'forward'
    tokens = (args.img_size // ours.patch_size) ** 2
    sizes = resolve_arch(args.arch)
    print(
        f'ViT-{args.arch.upper()} ({sizes.embed_dims} x {sizes.num_layers}), {mode}, '
        f'fp32, batch {args.batch_size}, {tokens} tokens, {args.rounds} rounds, '
        f'{args.clock} time'
    )
    print(f'{"":20}{"min [ms]":>10}{"median":>10}{"min / ours":>12}{"per round":>11}')
    for name, seconds in times.items():
        by_min, by_round = ratios(times['ours'], seconds)
        print(
            f'{name:20}{min(seconds) * 1e3:10.1f}'
            f'{statistics.median(seconds) * 1e3:10.1f}{by_min:12.3f}{by_round:11.3f}'
        )
    print(describe_machine())
    control = ratios(times['ours'], times['ours again (A/A)'])
    if max(abs(ratio - 1) for ratio in control) > AA_TOLERANCE:
        print(f'REJECTED: the A/A control is {control[0]:.3f} / {control[1]:.3f}')
        return 3
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
