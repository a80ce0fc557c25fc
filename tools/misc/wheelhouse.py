"""Collect what an offline Linux node with its own torch needs.

    python tools/misc/wheelhouse.py --python 3.12 --torch 2.11

torch, and what only torch needs (nvidia-*, triton, ...), stay out: a cluster brings
its own. The folder holds our wheel, wheels of everything else for that Python, the
source of mmcv for compiling its ops there, and ``install.sh``.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import zipfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from check_wheel import build_wheel
from env_command import CommandParser, start_command
from env_pieces import torchvision_for
from wheelhouse_resolve import (
    ROOT,
    WheelhouseError,
    closure,
    pins,
    pip,
    platform_options,
    read_lines,
    resolve,
    target_environment,
)

MMCV = 'onedl-mmcv'
# On the index as source only, and pure Python: built here, run anywhere.
PURE_SOURCES = ('onedl-mmsegmentation', 'onedl-mmdetection', 'onedl-mmrotate')
# `opencv-python` writes the same folder as the headless build and needs libGL.
NEVER = frozenset({'torch', 'opencv-python'})
# What compiling the ops needs on the node.
BUILD_TOOLS = ('setuptools', 'wheel', 'packaging', 'ninja')

INSTALL = """\
#!/usr/bin/env bash
# Install s5_mm offline into the environment of PYTHON, which has torch {torch}.
#   PYTHON=python bash install.sh        segmentation
#   PYTHON=python bash install.sh det    also compile the ops of mmcv (needs g++, or
#                                        nvcc for CUDA ops), for oriented detection
set -euo pipefail
here=$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)
python=${{PYTHON:-python}}
task=${{1:-seg}}
"$python" - <<'CHECK'
import sys
assert sys.version_info[:2] == {version}, (
    f'these wheels are for Python {python}, this is {{sys.version.split()[0]}}')
import torch
assert torch.__version__.startswith('{torch}'), (
    f'these wheels are for torch {torch}, this is {{torch.__version__}}')
CHECK
# Every wheel is named, so nothing has to be resolved. --no-deps also keeps
# opencv-python out, which writes the same folder as the headless build.
"$python" -m pip install --no-index --no-deps "$here"/wheels/*.whl \\
    "$here"/mmcv-without-ops/*.whl
package=$("$python" -c 'import s5_mm; print(s5_mm.__path__[0])')
tools=$package/.mim/tools
if [ "$task" = det ]; then
    "$python" -m pip install --no-index --no-deps "$here"/build-tools/*.whl
    "$python" "$tools/misc/build_ops.py" --sdist "$here"/mmcv-source/*.tar.gz
fi
"$python" "$tools/misc/check_env.py" --task "$task"
"""


def say(message: str) -> None:
    """Print one line at once, also into a pipe."""
    print(f'[wheelhouse] {message}', flush=True)


def build_pure(versions: dict[str, str], folder: Path) -> None:
    """Build the wheels of the packages that the index has as source only.

    mmcv is built in pip's isolated environment, where no torch is in sight: its wheel
    then has no compiled ops and is the same for every Python.

    Args:
        versions: Locked versions.
        folder: Where to put the wheels.
    """
    say(f'building wheels of {", ".join((*PURE_SOURCES, MMCV))} (without ops)')
    names = [f'{name}=={versions[name]}' for name in PURE_SOURCES]
    pip('wheel', '--no-deps', '--wheel-dir', str(folder), *names)
    # Not through pip's cache, which may hold a wheel made with torch in sight.
    pip(
        *('wheel', '--no-deps', '--no-cache-dir', '--no-binary', MMCV),
        *('--wheel-dir', str(folder), f'{MMCV}=={versions[MMCV]}'),
    )
    for wheel in folder.glob('*.whl'):
        if not wheel.name.endswith('-py3-none-any.whl'):
            raise WheelhouseError(f'{wheel.name} is not a pure wheel')


def torchvision_cuda(wheels: Path) -> str | None:
    """Major version of CUDA that the collected torchvision was compiled for."""
    for wheel in wheels.glob('torchvision-*.whl'):
        with zipfile.ZipFile(wheel) as archive:
            text = archive.read('torchvision/version.py').decode()
        # CUDA 13.2 is written `+cu132`, 12.9 `+cu129`.
        found = re.search(r'\+cu(\d+)\d', text)
        return found[1] if found else None
    return None


def collect(args: argparse.Namespace, out: Path) -> None:
    """Fill the folder.

    Args:
        args: Command line.
        out: Empty folder.
    """
    env = target_environment(args.python)
    versions = pins(env)
    options = platform_options(args.python, args.glibc)
    skip = NEVER | {canonicalize_name(name) for name in args.exclude}
    folder = ROOT / 'requirements'
    roots = list(read_lines(folder / 'runtime.txt'))
    for extra in filter(None, args.extras.split(',')):
        if not (folder / f'{extra}.txt').exists():
            raise WheelhouseError(f'--extras {extra}: no requirements/{extra}.txt')
        roots += read_lines(folder / f'{extra}.txt')
    roots = [r for r in roots if canonicalize_name(Requirement(r).name) not in skip]
    with tempfile.TemporaryDirectory() as name:
        built = Path(name)
        build_pure(versions, built)
        constraints = built / 'constraints.txt'
        lines = [f'{package}=={version}' for package, version in versions.items()]
        constraints.write_text('\n'.join(lines), encoding='utf-8')
        node = f'Python {args.python}, torch {args.torch}, glibc >= 2.{args.glibc}'
        say(f'resolving for {node}')
        wanted = [f'torch=={args.torch}.*', torchvision_for(args.torch), *roots]
        while True:
            found = resolve(wanted, constraints, built, options)
            carry, lacking = closure(roots, found, skip, env)
            if not set(lacking) - set(wanted):
                break
            wanted += lacking
        exact = [f'{n}=={found[n]["version"]}' for n in sorted(carry) if n != MMCV]
        say(f'downloading {len(exact)} wheels')
        download = ['download', '--quiet', '--no-deps', '--find-links', str(built)]
        pip(*download, *options, '--dest', str(out / 'wheels'), *exact)
        without = out / 'mmcv-without-ops'
        without.mkdir()
        for wheel in built.glob('onedl_mmcv-*.whl'):
            shutil.copy2(wheel, without)
    pip(
        *('download', '--quiet', '--no-deps', '--no-cache-dir', '--no-binary', MMCV),
        *('--dest', str(out / 'mmcv-source'), f'{MMCV}=={versions[MMCV]}'),
    )
    tools = [f'{tool}=={versions[tool]}' for tool in BUILD_TOOLS]
    pip(
        'download',
        '--quiet',
        '--no-deps',
        *options,
        '-d',
        str(out / 'build-tools'),
        *tools,
    )
    build_wheel(out / 'wheels')
    major, minor = (int(part) for part in args.python.split('.'))
    text = INSTALL.format(python=args.python, torch=args.torch, version=(major, minor))
    (out / 'install.sh').write_text(text, encoding='utf-8')


def print_sizes(out: Path) -> None:
    """Print every file with its size, and the sum."""
    total = 0
    files = [path for path in out.rglob('*') if path.is_file()]
    for path in sorted(files, key=lambda p: p.stat().st_size):
        size = path.stat().st_size
        total += size
        print(f'{size / 1e6:9.2f} MB  {path.relative_to(out)}')
    print(f'{total / 1e6:9.2f} MB  in {len(files)} files')


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; ``None`` takes the process's own.

    Returns:
        0 if the folder is complete, else 1.
    """
    parser = CommandParser(__doc__.splitlines()[0], __file__)
    parser.add_argument('--python', default='3.11', help='of the node, e.g. 3.12')
    parser.add_argument('--torch', default='2.15', help='of the node, e.g. 2.11')
    parser.add_argument('--extras', default='det,curation,geo', help='comma separated')
    parser.add_argument('--exclude', nargs='*', default=[], help='what the node has')
    parser.add_argument('--glibc', type=int, default=28, help='oldest glibc 2.x there')
    parser.add_argument('--out', type=Path, default=ROOT / 'wheelhouse')
    args = parser.parse_args(arguments)
    out = args.out / f'py{args.python}-torch{args.torch}'
    aside = out.with_name(out.name + '.part')
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        collect(args, aside)
    except WheelhouseError as error:
        say(f'FAILED: {error}')
        return 1
    shutil.rmtree(out, ignore_errors=True)
    aside.rename(out)
    print_sizes(out)
    cuda = torchvision_cuda(out / 'wheels')
    if cuda:
        say(
            f'torchvision here is for CUDA {cuda}.x; if the torch of the '
            'node is for another, leave it out (EXCLUDE=torchvision) and use the one '
            'that comes with that torch'
        )
    say(f'carry {out} over, then there: PYTHON=python bash {out.name}/install.sh')
    return 0


if __name__ == '__main__':
    start_command(main)
