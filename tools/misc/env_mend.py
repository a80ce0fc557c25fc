"""The command that mends a package which is missing, broken or old."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from env_pieces import ROOT, Piece, floors, torchvision_for, version_of


def mend_line(piece: Piece, error: str, torch_version: str | None) -> str:
    """Find the command that mends a piece.

    Args:
        piece: What is missing, broken or old.
        error: Message of the failed import, ``''`` if it is missing or old.
        torch_version: Installed version of torch.

    Returns:
        One shell line.
    """
    build_ops = f'python {display(Path(__file__).with_name("build_ops.py"))}'
    if piece.module == 'mmcv._ext':
        return build_ops
    if piece.module == 's5_mm':
        if (ROOT / 'setup.py').exists():
            return pip_line(f'-e {display(ROOT)}')
        return f'{sys.executable} -m pip install --force-reinstall --no-deps s5_mm'
    if piece.module == 'cv2':
        return pip_line('--force-reinstall --no-deps opencv-python-headless')
    if piece.module == 'torch' and not error:
        return pip_line('torch torchvision')
    if piece.module == 'torchvision' and torch_version:
        wanted = torchvision_for(torch_version)
        if '+cpu' in torch_version:
            # The index's torchvision is made for the CUDA build of torch.
            return (
                f'{sys.executable} -m pip install --force-reinstall --no-deps '
                f'"{wanted}" --index-url https://download.pytorch.org/whl/cpu'
            )
        return f'{sys.executable} -m pip install --force-reinstall --no-deps "{wanted}"'
    if error:
        return pip_line(f'--force-reinstall --no-deps {piece.distribution}')
    floor = floors().get(piece.distribution)
    return pip_line(f'"{piece.distribution}>={floor}"' if floor else piece.distribution)


def pip_line(arguments: str) -> str:
    """Write a pip command for this interpreter, under the lock in a checkout.

    A torch that is there already stays: it may be the cluster's own.
    """
    pip = 'pip' if in_venv_on_path() else f'{sys.executable} -m pip'
    no_torch = '' if version_of('torch') is None else '-no-torch'
    lock = ROOT / 'requirements' / f'constraints{no_torch}.txt'
    pinned = f' -c {display(lock)}' if lock.exists() else ''
    return f'{pip} install{pinned} {arguments}'


def in_venv_on_path() -> bool:
    """Whether a bare ``pip`` is the one of this interpreter."""
    pip = shutil.which('pip')
    return pip is not None and Path(pip).parent == Path(sys.executable).parent


def display(path: Path) -> str:
    """Path relative to the working folder where that is shorter."""
    text = os.path.relpath(path)
    return text if len(text) < len(str(path)) else str(path)
