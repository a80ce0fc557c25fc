"""Compare a training step of this package with the same one driven as the release.

python -m tools.benchmarks.benchmark_step [--arch b] [--clock cpu]      # CPU
python -m tools.benchmarks.benchmark_step --arch b l h --case s4p moe   # GPU

Both sides start from the same weights and see the same images, and their losses and
gradients are compared first.  The other side (``plain_model.py``, ``plain_step.py``) is
composed of mmcv's and mmseg's blocks with recomputation, its S4P teacher runs in fp32
outside of autocast, as in the authors' code.  Dropout and stochastic depth are off.

On a CPU everything is interleaved round by round in rotating order, and no step finds
free memory of the one before; our step runs twice a round, and if these two differ by
more than 3 % the measurement is rejected (exit status 3).  ``--clock cpu`` is for
machines that are busy with other work.  On a GPU, which is used where there is one,
each side is alone on the card: ms per iteration by CUDA events, update included,
images/s, share of the matrix peak measured in the same call, peak memory, idle time
between kernels, and the wait for a loader of JPEG files.
No GPU was at hand: that part is untested.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.models.backbones import ARCHS

from .gpu_figures import count_flops
from .moe_case import MoECase
from .plain_step import Update
from .s4p_case import S4PCase
from .side_by_side import (
    CLOCKS,
    control_holds,
    describe_machine,
    measure,
    print_table,
    return_memory,
)
from .step_case import Case
from .step_on_gpu import AGAIN, OURS, PLAIN, compare_on_gpu

DTYPES = {'fp32': None, 'bf16': torch.bfloat16}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__.split('\n')[0], __file__)
    parser.add_argument('--case', nargs='+', default=['s4p'], choices=['s4p', 'moe'])
    parser.add_argument('--arch', nargs='+', default=['b'], choices=sorted(ARCHS))
    parser.add_argument('--img-size', type=int, default=512, help='pixels')
    parser.add_argument(
        '--batch',
        type=int,
        help='labelled images, of each data set, and as many unlabelled ones '
        '(default: 1 on a CPU, 12 on a GPU)',
    )
    parser.add_argument('--partners', default='separate', choices=['separate', 'batch'])
    parser.add_argument(
        '--dtype',
        nargs='+',
        default=['fp32', 'bf16'],
        choices=['fp32', 'bf16'],
        help='of our step on a CPU; on a GPU it is bf16, and the release fp16',
    )
    parser.add_argument('--rounds', type=int, default=5, help='on a CPU')
    parser.add_argument('--steps', type=int, default=50, help='timed on a GPU')
    parser.add_argument('--threads', type=int, default=1, help='on a CPU')
    parser.add_argument('--clock', default='wall', choices=sorted(CLOCKS))
    parser.add_argument('--device', choices=['cpu', 'cuda'])
    parser.add_argument(
        '--store', action='store_true', help='the other side recomputes nothing'
    )
    parser.add_argument(
        '--profile', action='store_true', help='print the operators of our step instead'
    )
    args = parser.parse_args(argv)
    args.device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    args.batch = args.batch or (12 if args.device == 'cuda' else 1)
    return args


def build_case(
    args: argparse.Namespace, case: str, arch: str, batch: int | None = None
) -> Case:
    """Build what is measured, or the same with another batch."""
    sizes = dict(
        arch=arch, img_size=args.img_size, batch=batch or args.batch, device=args.device
    )
    if case == 'moe':
        return MoECase(**sizes)
    return S4PCase(partners=args.partners, **sizes)


def check_equal(case: Case, ours: nn.Module, plain: nn.Module) -> None:
    """Compare losses and gradients of both sides in fp32, and print FLOPs.

    Args:
        case: What is compared.
        ours: This package's model, with its names.
        plain: The other one.

    Raises:
        SystemExit: Losses differ by more than 1e-4 of their value, or gradients by more
            than 1e-2 of their norm.
    """
    logs, flops = [], []
    for model, make in ((ours, case.our_step), (plain, case.plain_step)):
        step = make(model, Update(model))
        flops.append(count_flops(lambda step=step: logs.append(step())))
    first, second = (float(log['loss']) for log in logs)
    if not abs(first - second) <= 1e-4 * abs(second):
        raise SystemExit(f'the losses differ: ours {first}, as the release {second}')
    grads = {
        name.removeprefix('student.'): p.grad for name, p in ours.named_parameters()
    }
    pairs = [(grads[name], p.grad) for name, p in plain.named_parameters()]
    apart = sum((a - b).double().square().sum().item() for a, b in pairs) ** 0.5
    norm = sum(b.double().square().sum().item() for _, b in pairs) ** 0.5
    if not apart <= 1e-2 * norm:
        raise SystemExit(f'the gradients differ by {apart:.1e}, their norm: {norm:.1e}')
    print(
        f'loss {first:.6f} and {second:.6f}, gradients differ by {apart / norm:.1e} of '
        f'their norm\nTFLOP an iteration: ours {flops[0] / 1e12:.3f}, as the release '
        f'{flops[1] / 1e12:.3f}, ratio {flops[1] / flops[0]:.3f}'
    )


def check_on_gpu(case: Case) -> None:
    """Compare both sides as :func:`check_equal`, without TF32 in convolutions."""
    with torch.backends.cudnn.flags(allow_tf32=False):
        check_equal(case, case.ours(), case.plain())
    torch.cuda.empty_cache()


def compare_on_cpu(case: Case, args: argparse.Namespace) -> bool:
    """Measure one case side by side and print it; returns whether to trust it."""
    ours, plain = case.ours(), case.plain(recompute=not args.store)
    check_equal(case, ours, plain)
    trusted = True
    for dtype in args.dtype:
        our_step = case.our_step(ours, Update(ours, DTYPES[dtype]))
        runs: dict[str, Callable[[], object]] = {OURS: our_step, AGAIN: our_step}
        runs[PLAIN] = case.plain_step(plain, Update(plain, DTYPES[dtype]))
        if dtype != 'fp32':
            runs[f'{PLAIN}, all in fp32'] = case.plain_step(plain, Update(plain))
        times = measure(runs, args.rounds, CLOCKS[args.clock], return_memory)
        print(
            f'{case.title}, {dtype}, forward + backward, {args.rounds} '
            f'rounds, {args.clock} time'
        )
        print_table(times, OURS)
        trusted &= control_holds(times, OURS, AGAIN)
    return trusted


def print_profile(case: Case, args: argparse.Namespace) -> None:
    """Print the operators of our step by their own time."""
    model, cuda = case.ours(), args.device == 'cuda'
    step = case.our_step(model, Update(model, DTYPES[args.dtype[-1]]))
    step()
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    with profile(activities=kinds) as profiler:
        step()
    events = profiler.key_averages()
    print(f'{case.title}, {args.dtype[-1]}')
    order = 'self_device_time_total' if cuda else 'self_cpu_time_total'
    print(events.table(sort_by=order, row_limit=60))
    print(f'{sum(event.count for event in events)} operators')


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    args = parse_args(argv)
    if args.device == 'cpu':
        torch.set_num_threads(args.threads)
    else:
        torch.backends.cudnn.benchmark = True  # as the release
    trusted = True
    for name in args.case:
        for arch in args.arch:
            if args.device == 'cuda' and not args.profile:
                # Two images: both models in fp32 beside each other fit any card.
                check_on_gpu(build_case(args, name, arch, batch=2))
            case = build_case(args, name, arch)
            if args.profile:
                print_profile(case, args)
            elif args.device == 'cuda':
                trusted &= compare_on_gpu(case, args.steps, recompute=not args.store)
            else:
                trusted &= compare_on_cpu(case, args)
    print(describe_machine())
    return 0 if trusted else 3


if __name__ == '__main__':
    start_command(main)
