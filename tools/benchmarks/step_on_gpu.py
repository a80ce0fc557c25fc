"""The table that ``benchmark_step.py`` prints on a GPU.

Our side runs in bf16 with a fused AdamW, the other one in fp16 with loss scaling and
torch's default AdamW, as the release.  Written without a GPU at hand.
"""

from __future__ import annotations

import gc
import statistics

import torch

from .gpu_figures import matrix_peak, measure_step, quantile
from .jpeg_feed import time_feed
from .plain_step import Update
from .s4p_case import S4PCase
from .side_by_side import AA_TOLERANCE
from .step_case import Case

OURS, AGAIN, PLAIN = 'ours', 'ours again (A/A)', 'as the release'


def compare_on_gpu(case: Case, steps: int, recompute: bool = True) -> bool:
    """Measure both sides, each alone on the card, and print.

    Args:
        case: What is measured.
        steps: Iterations that are timed.
        recompute: Whether the other side recomputes its layers, as the release.

    Returns:
        Whether everything could be measured.
    """
    peak = matrix_peak()
    print(
        f'{case.title}, update included; '
        f'{torch.cuda.get_device_name()}, product of bf16 {peak:.0f} TFLOP/s, torch '
        f'{torch.__version__}'
    )
    print(
        f'{"":20}{"median [ms]":>12}{"p99 [ms]":>10}{"images/s":>10}{"TFLOP":>8}'
        f'{"of peak":>9}{"GiB":>7}{"idle":>7}'
    )
    done, losses, medians = True, {}, {}
    for row in (OURS, PLAIN, AGAIN):
        try:
            losses[row], medians[row] = _print_row(case, row, peak, steps, recompute)
        except RuntimeError as error:  # out of memory, mostly: the others go on
            done = _failed(row, error)
        gc.collect()
        torch.cuda.empty_cache()
    if done:
        control = medians[AGAIN] / medians[OURS]
        print(
            f'first loss: ours {losses[OURS]:.4f}, as the release {losses[PLAIN]:.4f}; '
            f'ratio of the medians {medians[PLAIN] / medians[OURS]:.2f}, A/A control '
            f'{control:.3f}'
        )
        done = abs(control - 1) <= AA_TOLERANCE
        if not done:
            print('REJECTED: the A/A control')
    if isinstance(case, S4PCase):
        try:
            _print_feed(case, steps)
        except RuntimeError as error:
            done = _failed('from JPEG files', error)
    return done


def _failed(row: str, error: RuntimeError) -> bool:
    """Print what could not be measured; returns False."""
    print(f'{row:20} failed: {str(error).splitlines()[0]}')
    return False


def _print_row(
    case: Case, row: str, peak: float, steps: int, recompute: bool
) -> tuple[float, float]:
    """Measure one side and print its row; returns its first loss and the median."""
    mine = row != PLAIN
    # The first call of `ours` draws the weights of both.
    model = case.ours() if mine else case.plain(recompute)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=5e-5, weight_decay=0.01, fused=mine or None
    )
    update = Update(model, torch.bfloat16 if mine else torch.float16, optimizer)
    step = (case.our_step if mine else case.plain_step)(model, update)
    loss = float(step()['loss'])
    found = measure_step(step, steps=steps)
    print(
        f'{row:20}{found.median:12.1f}{found.p99:10.1f}'
        f'{1e3 * case.images_per_step / found.median:10.0f}{found.flops / 1e12:8.2f}'
        f'{found.flops / found.median / 1e9 / peak:9.1%}{found.memory:7.1f}'
        f'{found.idle:7.1%}'
    )
    return loss, found.median


def _print_feed(case: S4PCase, steps: int) -> None:
    """Print how long iterations wait for a loader of files."""
    whole, waits = time_feed(case, steps)
    print(
        f'from JPEG files, partners as images of their own: median '
        f'{statistics.median(whole):.1f} ms, p99 {quantile(whole, 0.99):.1f} ms; wait '
        f'for the loader: median {statistics.median(waits):.2f} ms, p99 '
        f'{quantile(waits, 0.99):.2f} ms'
    )
