"""Print what this environment holds, and the one line that mends each missing piece.

Needs nothing but Python: it runs before anything is installed.

    python tools/misc/check_env.py               # what segmentation needs
    python tools/misc/check_env.py --task det    # ... and oriented detection
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON_RANGE = ((3, 10), (3, 12))
TASKS = ('seg', 'curation', 'det', 'all')
# Seconds one import may take; a cold network disk is slow.
PROBE_TIMEOUT = 300


@dataclass(frozen=True)
class Piece:
    """One package to look at.

    Attributes:
        module: Import name.
        distribution: Name on the package index.
        tasks: Tasks that need it.
        file: Requirement file (without ``.txt``) that lists it.
    """

    module: str
    distribution: str
    tasks: tuple[str, ...]
    file: str


SEG = ('seg', 'curation', 'all')
EVERY = TASKS
PIECES = (
    Piece('numpy', 'numpy', EVERY, 'runtime'),
    Piece('torch', 'torch', EVERY, 'runtime'),
    Piece('torchvision', 'torchvision', EVERY, 'runtime'),
    Piece('cv2', 'opencv-python-headless', EVERY, 'runtime'),
    Piece('PIL', 'pillow', EVERY, 'runtime'),
    Piece('pyarrow', 'pyarrow', EVERY, 'runtime'),
    Piece('tensorboard', 'tensorboard', EVERY, 'runtime'),
    Piece('mmengine', 'onedl-mmengine', EVERY, 'runtime'),
    Piece('mmcv', 'onedl-mmcv', EVERY, 'runtime'),
    Piece('mmcv._ext', 'onedl-mmcv', ('det', 'all'), 'det'),
    Piece('mmseg', 'onedl-mmsegmentation', SEG, 'runtime'),
    Piece('mmdet', 'onedl-mmdetection', ('det', 'all'), 'det'),
    Piece('mmrotate', 'onedl-mmrotate', ('det', 'all'), 'det'),
    Piece('faiss', 'faiss-cpu', ('curation', 'all'), 'curation'),
    Piece('rasterio', 'rasterio', ('curation', 'all'), 'geo'),
    Piece('s5_mm', 's5_mm', EVERY, 'runtime'),
)
# Distributions that write the same folders as the maintained ones.
RIVALS = {
    'mmcv': 'onedl-mmcv',
    'mmcv-full': 'onedl-mmcv',
    'mmcv-lite': 'onedl-mmcv',
    'mmengine': 'onedl-mmengine',
    'mmengine-lite': 'onedl-mmengine',
    'mmsegmentation': 'onedl-mmsegmentation',
    'mmdet': 'onedl-mmdetection',
    'mmrotate': 'onedl-mmrotate',
}


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


def version_of(distribution: str) -> str | None:
    """Installed version of a distribution, ``None`` if there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def release(version: str) -> tuple[int, ...]:
    """Turn ``'1.4.0.post1+cpu'`` into ``(1, 4, 0)``, for comparison."""
    found = re.match(r'\d+(\.\d+)*', version)
    return tuple(int(part) for part in found[0].split('.')) if found else ()


def floors() -> dict[str, str]:
    """Lowest admitted version per distribution.

    Returns:
        From ``requirements/*.txt`` in a checkout, else from the metadata of the
        installed package; empty if neither is there.
    """
    lines: list[str] = []
    folder = ROOT / 'requirements'
    if (ROOT / 'setup.py').exists() and folder.is_dir():
        for name in ('runtime', 'det', 'curation', 'geo'):
            lines += (folder / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    elif version_of('s5_mm') is not None:
        lines = metadata.requires('s5_mm') or []
    found = (re.match(r'([A-Za-z0-9._-]+)>=([\w.]+)', line) for line in lines)
    return {match[1].lower(): match[2] for match in found if match}


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


def torchvision_for(torch_version: str) -> str:
    """Version specifier of the torchvision made with a torch.

    torchvision 0.20 came with torch 2.5, and one minor release of the one has followed
    each of the other since, except 0.29, whose patches serve torch 2.14 and 2.15.

    Args:
        torch_version: E.g. ``'2.11.0+cu128'``.

    Returns:
        E.g. ``'torchvision==0.26.*'``.
    """
    known = {(2, 15): '0.29.2', (2, 14): '0.29.1'}
    major, minor = (*release(torch_version), 0, 0)[:2]
    return f'torchvision=={known.get((major, minor), f"0.{minor + 15}.*")}'


PROBE = """
import importlib, json, sys
sys.stdout.flush()
for name in sys.argv[1:]:
    print(json.dumps({'start': name}), flush=True)
    found = {'name': name, 'error': None, 'extra': {}}
    try:
        module = importlib.import_module(name)
        found['where'] = getattr(module, '__file__', None)
        if name == 'torch':
            found['extra'] = {
                'cuda': module.version.cuda,
                'gpus': [module.cuda.get_device_name(i)
                         for i in range(module.cuda.device_count())],
            }
        if name == 'mmcv._ext':
            importlib.import_module('mmcv.ops')
    except BaseException as error:
        found['error'] = f'{type(error).__name__}: {error}'.splitlines()[0]
    print(json.dumps(found), flush=True)
"""


def probe(modules: Iterable[str]) -> dict[str, dict]:
    """Import modules in another process, which may crash.

    mmcv._ext needs torch to be imported before it; the order of ``PIECES`` does that.

    Args:
        modules: Import names.

    Returns:
        Per module ``error`` (``None`` if it imports), ``where`` and ``extra``.
    """
    todo = list(modules)
    results: dict[str, dict] = {}
    while todo:
        text, reason = run_probe(todo)
        started = None
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # a module printed something while it was imported
            if not isinstance(entry, dict):
                continue
            started = entry.get('start', started)
            if 'name' in entry:
                results[entry['name']] = entry
        # The process ended within the import of the one it began last.
        culprit = started if started not in results else None
        if culprit is None and not all(name in results for name in todo):
            culprit = next(name for name in todo if name not in results)
        if culprit is not None:
            results[culprit] = {'error': f'the interpreter ended: {reason}'}
        todo = [name for name in todo if name not in results]
    return results


def run_probe(modules: list[str]) -> tuple[str, str]:
    """Run the probe once.

    Args:
        modules: Import names.

    Returns:
        What it printed, and how it ended.
    """
    # Not from the checkout: a folder `s5_mm` there would count as installed.
    try:
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', PROBE, *modules],
            cwd=tempfile.gettempdir(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        output = error.stdout or ''
        text = output.decode() if isinstance(output, bytes) else output
        return text, f'no answer in {PROBE_TIMEOUT} s'
    return done.stdout, f'exit status {done.returncode}'


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


def check_piece(
    piece: Piece, found: dict, task: str, torch_version: str | None
) -> Line:
    """Judge one package.

    Args:
        piece: The package.
        found: Its entry of :func:`probe`.
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


def first_line(command: list[str], pattern: str = '.+') -> str:
    """First line of a program's output that matches, ``''`` if it does not run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ''
    found = re.search(pattern, done.stdout)
    return found[0].strip() if done.returncode == 0 and found else ''


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


def collect(task: str) -> list[Line]:
    """Look at everything.

    Args:
        task: One of ``TASKS``.

    Returns:
        The lines of the table.
    """
    found = probe(piece.module for piece in PIECES)
    torch_version = version_of('torch')
    lines = [check_python()]
    lines += [check_piece(p, found[p.module], task, torch_version) for p in PIECES]
    lines += check_rivals()
    gpus = found['torch'].get('extra', {}).get('gpus', [])
    return lines + check_machine(gpus, task)


def render(lines: list[Line], problems_only: bool) -> str:
    """Write the table.

    Args:
        lines: What was found.
        problems_only: Leave out what is in order or not needed.

    Returns:
        The text to print.
    """
    rows = []
    for line in lines:
        if problems_only and not (line.bad and line.needed):
            continue
        mark = line.state
        if line.bad and not line.needed:
            mark = f'({line.state})'
        rows.append(f'{line.name:<12} {mark:<10} {line.text}')
        if line.mend:
            rows.append(f'{"":<12} {"mend:":<10} {line.mend}')
    return '\n'.join(rows)


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; ``None`` takes the process's own.

    Returns:
        1 if something that the task needs is missing or broken, else 0.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--task', choices=TASKS, default='seg')
    parser.add_argument(
        '--problems-only', action='store_true', help='print only what must be mended'
    )
    args = parser.parse_args(arguments)
    lines = collect(args.task)
    table = render(lines, args.problems_only)
    if table:
        print(table)
    bad = [line.name for line in lines if line.bad and line.needed]
    verdict = f'missing for {args.task}: {", ".join(bad)}' if bad else 'all there'
    print(f'task {args.task}: {verdict}')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
