"""What a wheel of compiled ops is for: versions, interpreter, machine, CUDA."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from ops_wheel import DISTRIBUTION, OpsError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Target:
    """What a compiled wheel is valid for.

    Attributes:
        mmcv: Version of onedl-mmcv, e.g. ``'2.3.6'``.
        torch: Version of torch with its local part, e.g. ``'2.15.0+cu132'``.
        python: Interpreter tag, e.g. ``'cp311'``.
        machine: Processor, e.g. ``'x86_64'``.
        cuda: ``None`` for CPU ops, else the version of CUDA, e.g. ``'13.2'``.
        archs: CUDA architectures, e.g. ``'8.0;9.0'``; empty for CPU ops.
    """

    mmcv: str
    torch: str
    python: str
    machine: str
    cuda: str | None = None
    archs: str = ''

    @property
    def key(self) -> str:
        """Name of this target's folder in the cache."""
        device = 'cpu'
        if self.cuda:
            sm = re.sub(r'[^0-9+a-z]+', '-', self.archs.lower().replace('.', ''))
            device = f'cuda{self.cuda}-sm{sm.strip("-")}'
        return (
            f'{DISTRIBUTION}-{self.mmcv}_torch-{self.torch}_{self.python}'
            f'_{self.machine}_{device}'
        )


def mmcv_version() -> str:
    """Version of onedl-mmcv to build: the installed one, else the locked one.

    Raises:
        OpsError: If neither is there.
    """
    from importlib.metadata import PackageNotFoundError, version

    with contextlib.suppress(PackageNotFoundError):
        return version(DISTRIBUTION)
    for lock in sorted(ROOT.glob('requirements/constraints*.txt')):
        found = re.search(rf'^{DISTRIBUTION}==(\S+)', lock.read_text(), re.MULTILINE)
        if found:
            return found[1]
    raise OpsError(f'{DISTRIBUTION} is neither installed nor locked: give --version')


def find_target(device: str, version: str) -> Target:
    """Find out what to build for in this environment.

    Args:
        device: ``'cpu'``, ``'cuda'``, or ``'auto'``: CUDA ops if torch sees a GPU or
            ``FORCE_CUDA=1`` is set.
        version: Version of onedl-mmcv.

    Returns:
        The target.

    Raises:
        OpsError: If torch is missing, or CUDA ops cannot be compiled here.
    """
    try:
        import torch
    except ImportError as error:
        raise OpsError(
            f'torch does not import ({error}); install it first: make .venv by '
            '`make demo`, or pip install -c requirements/constraints.txt -e .'
        ) from error
    forced = os.environ.get('FORCE_CUDA', '0') == '1'
    common = Target(
        mmcv=version,
        torch=torch.__version__,
        python=f'cp{sys.version_info.major}{sys.version_info.minor}',
        machine=platform.machine(),
    )
    if device == 'cpu' or (
        device == 'auto' and not forced and not torch.cuda.is_available()
    ):
        return common
    if torch.version.cuda is None:
        raise OpsError(f'torch {torch.__version__} has no CUDA: use --device cpu')
    from torch.utils.cpp_extension import CUDA_HOME

    if CUDA_HOME is None or not (Path(CUDA_HOME) / 'bin' / 'nvcc').exists():
        major = torch.version.cuda.split('.')[0]
        raise OpsError(
            f'CUDA ops need nvcc of CUDA {major}.x; none was found. Load the toolkit '
            '(module load cuda, or set CUDA_HOME), or take CPU ops with --device cpu'
        )
    archs = os.environ.get('TORCH_CUDA_ARCH_LIST', '').replace(' ', ';')
    if not archs:
        count = torch.cuda.device_count()
        found = {torch.cuda.get_device_capability(i) for i in range(count)}
        archs = ';'.join(f'{major}.{minor}' for major, minor in sorted(found))
    if not archs:
        raise OpsError(
            'no GPU is visible here: say which ones the ops are for, e.g. '
            'TORCH_CUDA_ARCH_LIST="8.0;9.0" for A100 and H100'
        )
    return Target(
        **{**common.__dict__, 'cuda': str(torch.version.cuda), 'archs': archs}
    )
