"""Time what scoring crops (Eq. 1, prototypes) costs above the plain forward pass.

python tools/analysis_tools/benchmark_scoring.py [--arch b] [--clock cpu] [--batch 1]

1. The forward pass to the logits, and the pass that scores: one network, one process,
   interleaved round by round in rotating order.  The plain pass runs twice a round; if
   these two differ by more than 3 % the measurement is rejected (exit status 3).
2. The scores of given logits alone, beside the plain formulation (softmax at full
   resolution), which is what is left where the noise of (1) is larger than they are.

Before that the two formulations are compared.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping

import torch
from mmengine.registry import init_default_scope
from side_by_side import (
    CLOCKS,
    control_holds,
    describe_machine,
    measure,
    print_table,
    ratios,
)
from torch import Tensor
from torch.nn import functional as F

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.curation.scoring import PatchScorer
from s5_mm.curation.scoring.entropy import BACKGROUND_MODES, pixel_scores
from s5_mm.curation.scoring.pooling import pool
from s5_mm.curation.scoring.prototypes import similarities
from s5_mm.models.backbones import ARCHS, resolve_arch
from s5_mm.registry import MODELS

PLAIN, AGAIN, SCORED = 'forward', 'forward again (A/A)', 'forward and scores'
ALONE, NAIVE = 'scores alone', 'plain formulation alone'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__.split('\n')[0], __file__)
    parser.add_argument('--arch', default='b', choices=sorted(ARCHS))
    parser.add_argument('--img-size', type=int, default=512, help='pixels')
    parser.add_argument('--batch', type=int, default=16, help='crops')
    parser.add_argument('--classes', type=int, default=16)
    parser.add_argument('--clusters', type=int, default=100)
    parser.add_argument('--mode', default='drop', choices=BACKGROUND_MODES)
    parser.add_argument('--amp', choices=['bfloat16', 'float16'])
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--clock', default='wall', choices=sorted(CLOCKS))
    return parser.parse_args(argv)


def build_scorer(args: argparse.Namespace) -> PatchScorer:
    """Build the scorer of the size that was asked for, with random weights."""
    width = resolve_arch(args.arch).embed_dims
    init_default_scope('mmseg')
    segmentor = dict(
        type='s5_mm.EncoderDecoder',
        backbone=dict(type='s5_mm.ViT', arch=args.arch, img_size=args.img_size),
        decode_head=dict(
            type='UPerHead',
            in_channels=[width] * 4,
            in_index=[0, 1, 2, 3],
            channels=256,
            num_classes=args.classes,
            norm_cfg=dict(type='BN'),
            align_corners=False,
        ),
    )
    scorer = MODELS.build(
        dict(
            type='s5_mm.PatchScorer',
            segmentor=segmentor,
            mode=args.mode,
            amp_dtype=args.amp,
        )
    )
    scorer.set_prototypes(F.normalize(torch.randn(args.clusters, width), dim=1))
    return scorer.to(args.device)


def plain_entropy(logits: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Eq. 1 as it is written, background 0, (B,)."""
    upsampled = F.interpolate(logits.float(), size, mode='bilinear')
    if mode == 'renormalise':
        upsampled = upsampled[:, 1:]
    probabilities = upsampled.softmax(1)
    if mode == 'drop':
        probabilities = probabilities[:, 1:]
    return torch.special.entr(probabilities).sum(1).mean((1, 2))


def runs_of(args: argparse.Namespace) -> tuple[dict, dict]:
    """Build what is timed.

    Returns:
        The passes, and the scores of given logits, by name.

    Raises:
        SystemExit: If the formulations disagree.
    """
    scorer, size = build_scorer(args), (args.img_size, args.img_size)
    images = torch.randn(args.batch, 3, *size, device=args.device)
    tokens = scorer.prototypes.new_empty(
        args.batch, scorer.prototypes.shape[1], *(side // 16 for side in size)
    )
    tokens = tokens.normal_().to(args.device)
    prototypes = scorer.prototypes.to(args.device)
    with torch.no_grad():
        logits = scorer(images)
    found = pixel_scores(logits, size, mode=args.mode).entropy
    worst = (found - plain_entropy(logits, size, args.mode)).abs().max().item()
    if worst > 1e-5:
        raise SystemExit(f'the entropies of the two formulations differ by {worst:.1e}')

    def scores() -> None:
        pixel_scores(logits, size, mode=args.mode)
        similarities(pool(tokens), prototypes)

    passes = {
        PLAIN: lambda: scorer(images),
        AGAIN: lambda: scorer(images),
        SCORED: lambda: scorer.predict(images),
    }
    alone = {ALONE: scores, NAIVE: lambda: plain_entropy(logits, size, args.mode)}
    return _finished(passes, args.device), _finished(alone, args.device)


def _finished(
    runs: Mapping[str, Callable[[], object]], device: str
) -> dict[str, Callable[[], None]]:
    """Let each run end when the device has finished."""

    def wrap(run: Callable[[], object]) -> Callable[[], None]:
        def call() -> None:
            with torch.no_grad():
                run()
            if device.startswith('cuda'):
                torch.cuda.synchronize(device)

        return call

    return {name: wrap(run) for name, run in runs.items()}


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    args = parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    clock = CLOCKS[args.clock]
    passes, alone = runs_of(args)
    times = measure(passes, args.rounds, clock)
    print(
        f'ViT-{args.arch.upper()} + UPerNet, {args.batch} crops of {args.img_size} px, '
        f'{args.classes} classes, {args.clusters} prototypes, {args.amp or "float32"}, '
        f'{args.device}, {args.rounds} rounds, {args.clock} time'
    )
    print_table(times, PLAIN)
    trusted = control_holds(times, PLAIN, AGAIN)
    by_round = [b / a - 1 for a, b in zip(times[PLAIN], times[SCORED], strict=True)]
    by_min, by_median = ratios(times[PLAIN], times[SCORED])
    print(
        f'scoring above the forward pass: {by_min - 1:+.1%} by minima, '
        f'{by_median - 1:+.1%} by median, rounds {min(by_round):+.1%} to '
        f'{max(by_round):+.1%}'
    )
    times.update(measure(alone, args.rounds, clock))
    print_table({name: times[name] for name in alone}, ALONE)
    share = statistics.median(times[ALONE]) / statistics.median(times[PLAIN])
    print(f'the scores alone take {share:.1%} of the forward pass')
    print(describe_machine())
    return 0 if trusted else 3


if __name__ == '__main__':
    start_command(main)
