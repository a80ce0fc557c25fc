"""What ``benchmark_step.py`` measures on a GPU: times, peak, memory, gaps.

No GPU was at hand when this was written; what needs none (intervals, quantiles, the
wait for data) is tested on a CPU.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

GIB = 2**30


class StepFigures(NamedTuple):
    """What one step takes.

    Attributes:
        median: Milliseconds between the events before and after it.
        p99: 99th percentile of the same.
        flops: FLOPs executed, two for a multiply-add, recomputation included.
        memory: Peak of the allocated memory, GiB, weights and optimiser included.
        idle: Share of the time in which no kernel ran.
    """

    median: float
    p99: float
    flops: int
    memory: float
    idle: float


def quantile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def event_times(run: Callable[[], object], steps: int) -> list[float]:
    """Time runs by CUDA events, without waiting in between.

    Args:
        run: What is timed.
        steps: How often.

    Returns:
        Milliseconds of each run.
    """
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
    marks[0].record()
    for mark in marks[1:]:
        run()
        mark.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) for a, b in zip(marks, marks[1:], strict=False)]


def matrix_peak(size: int = 8192, repeats: int = 30) -> float:
    """Measure what the card's matrix units give: a bf16 product of random matrices.

    Args:
        size: Side of the square matrices.
        repeats: Products timed, after five that warm up.

    Returns:
        TFLOP/s, by the median.
    """
    a, b = (
        torch.randn(size, size, device='cuda', dtype=torch.bfloat16) for _ in range(2)
    )
    out = torch.empty_like(a)

    def product() -> None:
        torch.mm(a, b, out=out)

    event_times(product, 5)
    return 2 * size**3 / statistics.median(event_times(product, repeats)) / 1e9


def count_flops(step: Callable[[], object]) -> int:
    """Count the FLOPs that one step executes (products, attention, convolutions)."""
    counter = FlopCounterMode(display=False)
    with counter:
        step()
    return counter.get_total_flops()


def busy_time(intervals: Iterable[tuple[float, float]]) -> float:
    """Return how long at least one of the intervals (start, end) lasts."""
    busy, until = 0.0, float('-inf')
    for start, end in sorted(intervals):
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return busy


def idle_share(step: Callable[[], object], steps: int = 3) -> float:
    """Return the share of some steps in which the GPU ran no kernel."""
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
    kernels = [
        (event.time_range.start, event.time_range.end)
        for event in profiler.events()
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation
    ]
    if not kernels:
        return float('nan')
    first, last = min(start for start, _ in kernels), max(end for _, end in kernels)
    return 1 - busy_time(kernels) / (last - first)


def measure_step(
    step: Callable[[], object], warmup: int = 10, steps: int = 50
) -> StepFigures:
    """Measure one step.

    Args:
        step: The iteration, update included.
        warmup: Runs before anything is timed.
        steps: Runs that are timed.

    Returns:
        The figures.
    """
    for _ in range(warmup):
        step()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    times = event_times(step, steps)
    memory = torch.cuda.max_memory_allocated() / GIB
    return StepFigures(
        statistics.median(times),
        quantile(times, 0.99),
        count_flops(step),
        memory,
        idle_share(step),
    )


def fed_times(
    batches: Iterator[dict],
    step: Callable[[dict], object],
    synchronize: Callable[[], object],
    steps: int,
    warmup: int = 5,
) -> tuple[list[float], list[float]]:
    """Time iterations that take their images from a loader.

    Args:
        batches: The loader's iterator.
        step: Iteration on a batch.
        synchronize: Waits for the device, so that an iteration's end is known.
        steps: Iterations that are timed.
        warmup: Iterations before.

    Returns:
        Milliseconds of each iteration and, as a part of it, of the wait for the batch.
    """
    whole, waits = [], []
    for index in range(warmup + steps):
        start = time.perf_counter()
        batch = next(batches)
        loaded = time.perf_counter()
        step(batch)
        synchronize()
        if index >= warmup:
            whole.append(1e3 * (time.perf_counter() - start))
            waits.append(1e3 * (loaded - start))
    return whole, waits
