"""Judge what was found: one line each for the packages, Python and the machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from env_mend import mend_line, pip_line
from env_pieces import RIVALS, TASKS, Piece, floors, release, version_of

PYTHON_RANGE = ((3, 10), (3, 12))


@dataclass
class Line:
    """One line of the table.

    Attributes:
        name: What was looked at.
        state: ``'ok'``, ``'missing'``, ``'broken'``, ``'old'``, ``'conflict'`` or
            ``'-'`` for a plain fact.
        text: Version, place or reason.
        mend: The command that mends it, or ``''``.
        needed: Whether the task needs it.
    """

    name: str
    state: str
    text: str
    mend: str = ''
    needed: bool = False

    @property
    def bad(self) -> bool:
        """Whether there is something to mend."""
        return self.state not in ('ok', '-')


def check_piece(
    piece: Piece, found: dict, task: str, torch_version: str | None
) -> Line:
    """Judge one package.

    Args:
        piece: The package.
        found: Its entry of :func:`env_probe.probe`.
        task: The chosen task.
        torch_version: Installed version of torch.

    Returns:
        Its line of the table.
    """
    version = version_of(piece.distribution)
    if piece.module == 'faiss' and version is None:
        names = ('faiss-gpu-cu12', 'faiss-gpu-cu11', 'faiss-gpu')
        version = next((v for v in map(version_of, names) if v), None)
    needed = task in piece.tasks
    error = found['error'] or ''
    name = 'mmcv ops' if piece.module == 'mmcv._ext' else piece.module
    line = Line(name, 'ok', version or '?', needed=needed)
    if piece.module == 'mmcv._ext':
        line.text = 'compiled'
        if error:
            line.state = 'missing'
            line.text = 'not compiled; segmentation does without'
            if version is None or 'No module named' not in error:
                line.text = error
            line.mend = mend_line(piece, error, torch_version)
        return line
    if version is None and error:
        line.state, line.text = 'missing', piece.distribution
        error = ''
    elif error:
        line.state, line.text = 'broken', f'{version}: {error}'
    else:
        floor = floors().get(piece.distribution)
        if floor and version and release(version) < release(floor):
            line.state, line.text = 'old', f'{version}, needed >= {floor}'
        elif piece.module == 's5_mm':
            line.text += f' from {Path(found["where"]).parent}'
        elif piece.module == 'torch':
            line.text += f', CUDA {found["extra"]["cuda"] or "none"}'
        elif piece.module == 'cv2':
            line.text = f'{version} headless' if cv2_is_headless() else f'{version} GUI'
            if not cv2_is_headless():
                line.text += ', does not load on a machine without libGL'
                line.mend = mend_line(piece, '', torch_version)
    if line.bad:
        line.mend = mend_line(piece, error, torch_version)
    return line


def cv2_is_headless() -> bool | None:
    """Whether the OpenCV on disk is the headless build, ``None`` if there is none.

    Both builds write the folder ``cv2``; the metadata of both may be installed while
    only one of them is on disk, and the file ``cv2/version.py`` says which.
    """
    for folder in sys.path:
        file = Path(folder) / 'cv2' / 'version.py'
        if file.is_file():
            return re.search(r'^headless = True', file.read_text(), re.M) is not None
    return None


def check_rivals() -> list[Line]:
    """Find installed packages that overwrite the folders of the maintained ones."""
    lines = []
    for rival, ours in RIVALS.items():
        version = version_of(rival)
        if version is not None:
            mend = (
                f'{sys.executable} -m pip uninstall -y {rival} {ours} && '
                + pip_line(ours)
            )
            text = f'{version} writes the same folder as {ours}'
            lines.append(Line(rival, 'conflict', text, mend, needed=True))
    return lines


def check_python() -> Line:
    """Judge the interpreter."""
    low, high = PYTHON_RANGE
    text = f'{platform.python_version()} ({sys.executable})'
    if low <= sys.version_info[:2] <= high:
        return Line('python', 'ok', text, needed=True)
    allowed = f'{low[0]}.{low[1]}-{high[0]}.{high[1]}'
    return Line(
        'python',
        'old' if sys.version_info[:2] < low else 'broken',
        f'{text}; tested: {allowed}',
        'rm -rf .venv && make demo PYTHON=python3.12',
        needed=True,
    )


def check_machine(gpus: list[str], task: str) -> list[Line]:
    """List compilers, GPUs, cores and disk.

    Args:
        gpus: Names of the GPUs that torch sees.
        task: The chosen task.

    Returns:
        Plain facts; a missing compiler counts only for the ops, see there.
    """
    smi = ['nvidia-smi', '--query-gpu=name,memory.total', '--format=csv,noheader']
    present = first_line(smi, r'(?s).+').replace('\n', '; ')
    gpu = '; '.join(gpus) or 'none that torch sees'
    if present and not gpus:
        gpu += f' (the driver reports: {present})'
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30
    lines = [
        Line('g++', '-', first_line(['g++', '--version']) or 'none (apt install g++)'),
        Line(
            'nvcc',
            '-',
            first_line(['nvcc', '--version'], r'release.*')
            or 'none; only needed for CUDA ops',
        ),
        Line('GPU', '-', gpu),
        Line('machine', '-', f'{cores} cores, {memory:.0f} GiB memory'),
        Line('disk', '-', f'{free:.0f} GB free here'),
    ]
    if free < 1:
        lines[-1].state, lines[-1].needed = 'broken', task in TASKS
        lines[-1].mend = 'free some space: checkpoints and logs need at least 1 GB'
    return lines


def first_line(command: list[str], pattern: str = '.+') -> str:
    """First line of a program's output that matches, ``''`` if it does not run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ''
    found = re.search(pattern, done.stdout)
    return found[0].strip() if done.returncode == 0 and found else ''
