"""Print what this environment holds, and the one line that mends each missing piece.

Needs nothing but Python: it runs before anything is installed.

    python tools/misc/check_env.py               # what segmentation needs
    python tools/misc/check_env.py --task det    # ... and oriented detection
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

# Importing it as a part of the package imports mmengine, which may be what is missing.
_FILES = (ROOT / 's5_mm/cli/command.py', ROOT.parent / 'cli/command.py')  # of a wheel
_SPEC = importlib.util.spec_from_file_location(
    '_s5_mm_command', next(file for file in _FILES if file.is_file())
)
command = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(command)

PYTHON_RANGE = ((3, 10), (3, 13))
TASKS = ('seg', 'curation', 'det', 'all')
#: Import name -> name on the package index, and the tasks that need it.
PIECES = {
    'numpy': ('numpy', TASKS),
    'torch': ('torch', TASKS),
    'torchvision': ('torchvision', TASKS),
    'cv2': ('opencv-python-headless', TASKS),
    'PIL': ('pillow', TASKS),
    'pyarrow': ('pyarrow', TASKS),
    'tensorboard': ('tensorboard', TASKS),
    'mmengine': ('onedl-mmengine', TASKS),
    'mmcv': ('onedl-mmcv', TASKS),
    'mmcv._ext': ('onedl-mmcv', ()),
    'mmseg': ('onedl-mmsegmentation', ('seg', 'curation', 'all')),
    'mmdet': ('onedl-mmdetection', ('det', 'all')),
    'mmrotate': ('onedl-mmrotate', ('det', 'all')),
    'faiss': ('faiss-cpu', ('curation', 'all')),
    'rasterio': ('rasterio', ('curation', 'all')),
    's5_mm': ('s5_mm', TASKS),
}
#: Distributions that write the same folders as the maintained ones.
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
#: torchvision 0.20 came with torch 2.5, and one minor release of the one has followed
#: each of the other since, except 0.29, whose patches serve torch 2.14 and 2.15.
TORCHVISION = {(2, 15): '0.29.2', (2, 14): '0.29.1'}
# Imports modules one by one and prints each before and after, for one may crash.
PROBE = """
import importlib, json, sys
for name in sys.argv[1:]:
    print('start ' + name, flush=True)
    try:
        module, error = importlib.import_module(name), ''
    except BaseException as found:
        module, error = None, f'{type(found).__name__}: {found}'.splitlines()[0]
    text = ''
    if name == 'torch' and module:
        gpus = range(module.cuda.device_count())
        gpus = [module.cuda.get_device_name(index) for index in gpus]
        text = f'CUDA {module.version.cuda}, GPU: {"; ".join(gpus) or "none"}'
    if name == 'cv2' and module:
        text = 'headless' if module.version.headless else 'GUI'
    print('found ' + json.dumps([name, error, text]), flush=True)
"""


class Line(NamedTuple):
    """One line of the table.

    Attributes:
        name: What was looked at.
        state: 'ok', 'missing', 'broken', 'old' or 'conflict'; '-' for a plain fact.
        text: Version or reason.
        mend: The command that mends it, or ''.
        needed: Whether the task needs it.
    """

    name: str
    state: str
    text: str
    mend: str = ''
    needed: bool = False


def probe() -> dict[str, tuple[str, str]]:
    """Import all pieces in another process, which may crash.

    Returns:
        By module the error, '' for none, and what there is to say of it.
    """
    found: dict[str, tuple[str, str]] = {}
    while todo := [name for name in PIECES if name not in found]:
        # Not from the checkout: a folder `s5_mm` there would count as installed.
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', PROBE, *todo],
            cwd=tempfile.gettempdir(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        started = re.findall(r'^start (.+)$', done.stdout, re.MULTILINE) or todo[:1]
        for text in re.findall(r'^found (.+)$', done.stdout, re.MULTILINE):
            name, *rest = json.loads(text)
            found[name] = tuple(rest)
        ended = f'the interpreter ended with status {done.returncode}'
        found.setdefault(started[-1], (ended, ''))
    return found


def judge(module: str, error: str, text: str, task: str) -> Line:
    """Judge one package.

    Args:
        module: A key of :data:`PIECES`.
        error: Message of its failed import, or ''.
        text: What there is to say of it.
        task: The chosen task.

    Returns:
        Its line of the table.
    """
    distribution, tasks = PIECES[module]
    needed, version = task in tasks, version_of(distribution)
    if module == 'mmcv._ext':
        if not error:
            return Line('mmcv ops', 'ok', 'compiled')
        if version is None or 'No module named' in error:
            return Line('mmcv ops', '-', 'those of s5_mm, in torch (compile: make ops)')
        remedy = f'python {Path(__file__).with_name("build_ops.py")} --force'
        return Line('mmcv ops', 'broken', error, remedy, needed=True)
    if module == 'faiss' and version is None:
        version = version_of('faiss-gpu-cu12')
    if version is None and error:
        return Line(module, 'missing', distribution, _mend(module, False), needed)
    if error:
        return Line(
            module, 'broken', f'{version}: {error}', _mend(module, True), needed
        )
    floor = floors().get(distribution, '0')
    if version and _release(version) < _release(floor):
        old = f'{version}, needed >= {floor}'
        return Line(module, 'old', old, _mend(module, False), needed)
    if text == 'GUI':
        text += ', does not load on a machine without libGL'
    mend = _mend(module, True) if text.startswith('GUI') else ''
    return Line(module, 'ok', ', '.join(filter(None, (version, text))), mend, needed)


def rivals() -> list[Line]:
    """Find installed packages that overwrite the folders of the maintained ones."""
    return [
        Line(
            rival,
            'conflict',
            f'{version_of(rival)} writes the same folder as {ours}',
            f'{sys.executable} -m pip uninstall -y {rival} {ours} && {_pip(ours)}',
            needed=True,
        )
        for rival, ours in RIVALS.items()
        if version_of(rival) is not None
    ]


def machine() -> list[Line]:
    """Judge Python, and list the compiler, cores, memory and disk."""
    here, version = sys.version_info[:2], platform.python_version()
    low, high = PYTHON_RANGE
    state, mend = 'ok', ''
    if not low <= here <= high:
        version += f'; tested: {low[0]}.{low[1]} to {high[0]}.{high[1]}'
        state, mend = 'broken', 'rm -rf .venv && make environment PYTHON=python3.12'
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    compilers = [name for name in ('g++', 'nvcc') if shutil.which(name)]
    return [
        Line('python', state, f'{version} ({sys.executable})', mend, needed=True),
        Line(
            'compilers', '-', ', '.join(compilers) or 'none; only `make ops` needs g++'
        ),
        Line('machine', '-', f'{os.cpu_count()} cores, {memory:.0f} GiB of memory'),
        Line('disk', '-', f'{free:.0f} GB free here'),
    ]


def version_of(distribution: str) -> str | None:
    """Installed version of a distribution, None if there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def floors() -> dict[str, str]:
    """Lowest admitted version by distribution.

    Returns:
        From ``requirements/*.txt`` in a checkout, else from the metadata of the
        installed package; empty if neither is there.
    """
    lines: list[str] = []
    if (ROOT / 'setup.py').exists():
        for name in ('runtime', 'det', 'curation', 'geo'):
            file = ROOT / f'requirements/{name}.txt'
            lines += file.read_text(encoding='utf-8').splitlines()
    elif version_of('s5_mm') is not None:
        lines = metadata.requires('s5_mm') or []
    found = (re.match(r'([A-Za-z0-9._-]+)>=([\w.]+)', line) for line in lines)
    return {match[1].lower(): match[2] for match in found if match}


def render(lines: list[Line], problems_only: bool = False) -> str:
    """Write the table.

    Args:
        lines: What was found.
        problems_only: Leave out what is in order or not needed.

    Returns:
        The text to print.
    """
    rows = []
    for line in lines:
        bad = line.state not in ('ok', '-')
        if not problems_only or (bad and line.needed):
            mark = f'({line.state})' if bad and not line.needed else line.state
            rows.append(f'{line.name:<12} {mark:<10} {line.text}')
            if line.mend:
                rows.append(f'{"":<12} {"mend:":<10} {line.mend}')
    return '\n'.join(rows)


def main(argv: list[str] | None = None) -> int:
    """Print the table; returns 1 if the task lacks something, else 0."""
    parser = command.CommandParser(__doc__.strip(), __file__)
    parser.add_argument('--task', choices=TASKS, default='seg')
    parser.add_argument(
        '--problems-only', action='store_true', help='print only what must be mended'
    )
    args = parser.parse_args(argv)
    found = probe()
    lines = [judge(name, *found[name], args.task) for name in PIECES]
    lines += rivals() + machine()
    table = render(lines, args.problems_only)
    if table:
        print(table)
    bad = [x.name for x in lines if x.state not in ('ok', '-') and x.needed]
    verdict = f'missing for {args.task}: {", ".join(bad)}' if bad else 'all there'
    print(f'task {args.task}: {verdict}')
    return 1 if bad else 0


def _mend(module: str, broken: bool) -> str:
    """The command that mends a package which is missing or old, or broken."""
    distribution = PIECES[module][0]
    if module == 's5_mm':
        return _pip(f'-e {ROOT}' if (ROOT / 'setup.py').exists() else 's5_mm')
    if module == 'torchvision' and (torch := version_of('torch')):
        major, minor = _release(torch)[:2]
        fit = TORCHVISION.get((major, minor), f'0.{minor + 15}.*')
        # The index's torchvision is made for the CUDA build of torch.
        cpu = ' --index-url https://download.pytorch.org/whl/cpu' * ('+cpu' in torch)
        pip = f'{sys.executable} -m pip install --force-reinstall --no-deps'
        return f'{pip} "torchvision=={fit}"{cpu}'
    if broken or module == 'cv2':
        return _pip(f'--force-reinstall --no-deps {distribution}')
    floor = floors().get(distribution)
    wanted = f'"{distribution}>={floor}"' if floor else distribution
    return _pip(wanted, '-det' * (module in ('mmdet', 'mmrotate')))


def _pip(arguments: str, kind: str = '') -> str:
    """A pip command under a lock of a checkout; a torch that is there stays."""
    no_torch = '' if version_of('torch') is None else '-no-torch'
    lock = ROOT / f'requirements/constraints{kind}{no_torch}.txt'
    pinned = f' -c {os.path.relpath(lock)}' if lock.exists() else ''
    return f'{sys.executable} -m pip install{pinned} {arguments}'


def _release(version: str) -> tuple[int, ...]:
    """Turn '1.4.0.post1+cpu' into (1, 4, 0), for comparison."""
    found = re.match(r'\d+(\.\d+)*', version)
    return tuple(int(part) for part in found[0].split('.')) if found else ()


if __name__ == '__main__':
    command.start_command(main)
