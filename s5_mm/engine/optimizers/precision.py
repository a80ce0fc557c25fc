"""The precision that suits a device."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional

# Instructions that multiply bfloat16, as Linux names them: x86 and arm.
_CPU_FLAGS = frozenset({'avx512_bf16', 'amx_bf16', 'bf16'})
_CPU_INFO = Path('/proc/cpuinfo')


def native_bfloat16(device_type: str) -> bool:
    """Return whether a device multiplies bfloat16 without emulation.

    Args:
        device_type: Type of the device, such as ``'cuda'`` or ``'cpu'``.

    Returns:
        True for a GPU with bfloat16 and for a CPU with AVX512-BF16, AMX-BF16 or Arm's
        BF16; False for everything else, and where the CPU cannot be asked.
    """
    if device_type == 'cuda':
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device_type == 'cpu' and not _CPU_FLAGS.isdisjoint(cpu_flags())


def cpu_flags(path: str | Path = _CPU_INFO) -> set[str]:
    """Read the instruction sets of the CPU.

    Args:
        path: Linux's description of the processors.

    Returns:
        Names of the instruction sets; empty where there is no such file.
    """
    try:
        lines = Path(path).read_text(encoding='ascii', errors='replace').splitlines()
    except OSError:
        return set()
    for line in lines:
        key, _, value = line.partition(':')
        if key.strip() in ('flags', 'Features'):  # x86 and arm
            return set(value.split())
    return set()


def automatic_dtype(
    device_type: str, native: Callable[[str], bool] = native_bfloat16
) -> torch.dtype:
    """Return the fastest type that trains without loss scaling on a device.

    Args:
        device_type: Type of the device, such as ``'cuda'`` or ``'cpu'``.
        native: Function that returns whether a device multiplies bfloat16 itself.

    Returns:
        ``torch.bfloat16`` or ``torch.float32``.
    """
    return torch.bfloat16 if native(device_type) else torch.float32


def bfloat16_slowdown() -> float:
    """Measure how much slower bfloat16 is than float32 on this CPU.

    Returns:
        Time of a small product and a small convolution in bfloat16, divided by that in
        float32; takes some hundredths of a second.
    """
    return _time(torch.bfloat16) / _time(torch.float32)


def _time(dtype: torch.dtype, repeats: int = 3) -> float:
    """Time both operators in one type, in seconds, the best of some repeats."""
    rows, weight = torch.ones(256, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
    image = torch.ones(1, 64, 32, 32, dtype=dtype)
    kernel = torch.ones(64, 64, 3, 3, dtype=dtype)
    best = float('inf')
    with torch.no_grad():
        for _ in range(repeats + 1):  # the first call prepares the kernels
            start = time.perf_counter()
            functional.linear(rows, weight)
            functional.conv2d(image, kernel, padding=1)
            best = min(best, time.perf_counter() - start)
    return best
