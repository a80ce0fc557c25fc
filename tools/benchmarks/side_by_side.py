"""Timing of alternatives side by side, with a control that can reject the result."""

from __future__ import annotations

import ctypes
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

AA_TOLERANCE = 0.03
CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}
Clock = Callable[[], float]


def measure(
    runs: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Clock = time.perf_counter,
    before: Callable[[], object] | None = None,
) -> dict[str, list[float]]:
    """Time alternatives round by round, in rotating order.

    Args:
        runs: Names and what is to be timed.
        rounds: Number of rounds; one more warms up.
        clock: What tells the seconds.
        before: Is called before each of them, untimed.

    Returns:
        Seconds of each round by name.
    """
    names, times = list(runs), {name: [] for name in runs}
    for index in range(rounds + 1):
        for name in names:
            if before is not None:
                before()
            start = clock()
            runs[name]()
            seconds = clock() - start
            if index:
                times[name].append(seconds)
        names.append(names.pop(0))
    return times


def return_memory() -> None:
    """Hand what is free of the heap back to the system, where the C library can.

    Else the one that runs second finds the memory that the first has left, as it never
    would in a process of its own.
    """
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)


def ratios(base: list[float], other: list[float]) -> tuple[float, float]:
    """Return how many times longer ``other`` takes: by minima, by median of rounds."""
    rounds = [b / a for a, b in zip(base, other, strict=True)]
    return min(other) / min(base), statistics.median(rounds)


def print_table(times: Mapping[str, list[float]], base: str) -> None:
    """Print times and their ratios to one of them.

    Args:
        times: Seconds of each round by name.
        base: Name of what the others are compared with.
    """
    print(f'{"":28}{"min [ms]":>10}{"median":>10}{"ratio: min":>12}{"per round":>11}')
    for name, seconds in times.items():
        by_min, by_round = ratios(times[base], seconds)
        print(
            f'{name:28}{min(seconds) * 1e3:10.1f}'
            f'{statistics.median(seconds) * 1e3:10.1f}{by_min:12.3f}{by_round:11.3f}'
        )


def control_holds(times: Mapping[str, list[float]], base: str, again: str) -> bool:
    """Tell whether what ran twice took the same time, and say so where it did not.

    Args:
        times: Seconds of each round by name.
        base: What ran twice.
        again: Name of its second run.

    Returns:
        Whether both ratios are within :data:`AA_TOLERANCE` of 1.
    """
    control = ratios(times[base], times[again])
    if max(abs(ratio - 1) for ratio in control) <= AA_TOLERANCE:
        return True
    print(f'REJECTED: the A/A control is {control[0]:.3f} / {control[1]:.3f}')
    return False


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
