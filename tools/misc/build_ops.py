"""Compile the operators of mmcv, keep the wheel, install it.

    python tools/misc/build_ops.py                 # for the GPU, where torch sees one
    python tools/misc/build_ops.py --device cpu

Nothing needs them: without, those that oriented detection calls run in torch. The
compiler takes 28 to 63 minutes of CPU time for the CPU, several times that for CUDA.
The wheel is kept in ~/.cache/s5_mm/wheels for the next environment with the same
versions. For GPUs of another machine set FORCE_CUDA=1 and TORCH_CUDA_ARCH_LIST.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from s5_mm.cli.command import CommandParser, start_command

DISTRIBUTION = 'onedl-mmcv'
# What a new interpreter must do with them.
PROBE = (
    'import torch; import mmcv._ext; from mmcv.ops import nms; '
    'boxes = torch.tensor([[0., 0., 2., 2.], [0., 0., 2., 2.]]); '
    'assert nms(boxes, torch.tensor([0.9, 0.8]), 0.5)[1].tolist() == [0]'
)


def target(device: str) -> tuple[str, dict[str, str]]:
    """Find out what to compile for.

    Args:
        device: 'cpu', 'cuda', or 'auto' for CUDA if torch sees a GPU or ``FORCE_CUDA``
            is 1.

    Returns:
        Name of the folder of its wheel, and environment variables of the compilation.

    Raises:
        SystemExit: For CUDA, if this torch has none, no nvcc or no GPU is known.
    """
    import torch
    from torch.utils.cpp_extension import CUDA_HOME

    python = f'cp{sys.version_info.major}{sys.version_info.minor}'
    key = f'{DISTRIBUTION}-{_version()}_torch-{torch.__version__}_{python}'
    key += f'_{platform.machine()}'
    seen = torch.cuda.is_available() or os.environ.get('FORCE_CUDA') == '1'
    if device == 'cpu' or (device == 'auto' and not seen):
        # mmcv compiles for CUDA as soon as torch sees a GPU.
        return f'{key}_cpu', {'FORCE_CUDA': '0', 'CUDA_VISIBLE_DEVICES': ''}
    if torch.version.cuda is None or CUDA_HOME is None:
        raise SystemExit(
            f'CUDA operators need a torch with CUDA (this one: {torch.__version__}) '
            f'and its nvcc (CUDA_HOME: {CUDA_HOME}); --device cpu needs neither'
        )
    count = torch.cuda.device_count()
    here = {torch.cuda.get_device_capability(index) for index in range(count)}
    archs = os.environ.get('TORCH_CUDA_ARCH_LIST') or ';'.join(
        f'{major}.{minor}' for major, minor in sorted(here)
    )
    if not archs:
        raise SystemExit(
            'no GPU is visible here: name those that the operators are for, e.g. '
            'TORCH_CUDA_ARCH_LIST="8.0;9.0" for A100 and H100'
        )
    chips = re.sub(r'[^0-9+a-z]+', '-', archs.lower().replace('.', '')).strip('-')
    return (
        f'{key}_cuda{torch.version.cuda}-sm{chips}',
        {'FORCE_CUDA': '1', 'TORCH_CUDA_ARCH_LIST': archs},
    )


def fit_source(sdist: Path, folder: Path) -> Path:
    """Unpack the source of mmcv and let it ask for the C++ that torch needs.

    torch 2.15's headers refuse less than C++20; mmcv 2.3.6 insists on C++17.

    Args:
        sdist: The source package.
        folder: Folder to unpack into.

    Returns:
        The source tree.
    """
    import torch

    # The filter came to Python 3.10 and 3.11 with their patches .12 and .4.
    safe = {'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, **safe)
    setup_py = next(folder.glob('*/setup.py'))
    header = Path(torch.__file__).parent / 'include/ATen/ATen.h'
    needed = re.search(r'C\+\+(\d\d) or later', header.read_text(encoding='utf-8'))
    standard = max(17, int(needed[1])) if needed else 17
    text = setup_py.read_text(encoding='utf-8')
    setup_py.write_text(text.replace('-std=c++17', f'-std=c++{standard}'))
    return setup_py.parent


def compile_wheel(out: Path, sdist: Path | None, settings: dict[str, str]) -> None:
    """Compile a wheel into a folder, with the compiler's own progress.

    Past pip's cache, which keeps wheels that were built where torch was not in sight
    and have no compiled operators.

    Args:
        out: The folder.
        sdist: Source package at hand, None to download it.
        settings: Environment variables.

    Raises:
        SystemExit: If pip fails; its last words are on the screen.
    """
    options = ['--no-deps', '--no-cache-dir', '--no-build-isolation']
    with tempfile.TemporaryDirectory(prefix='s5_mm_ops_') as name:
        work = Path(name)
        if sdist is None:
            source = [f'{DISTRIBUTION}=={_version()}', '--no-binary', DISTRIBUTION]
            _pip('download', *options, '--dest', name, *source)
            sdist = next(work.glob('*.tar.gz'))
        tree = fit_source(sdist, work / 'source')
        # ninja, if it comes from the environment, is next to the interpreter.
        path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
        env = {'MAX_JOBS': str(len(os.sched_getaffinity(0))), **os.environ, **settings}
        env['PATH'] = path
        verbose = ['--verbose', '--wheel-dir', str(out)]
        _pip('wheel', *options, *verbose, str(tree), env=env)


def main(argv: list[str] | None = None) -> None:
    """Compile or take from the cache, install, try."""
    parser = CommandParser(__doc__.strip(), __file__)
    parser.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto')
    parser.add_argument('--sdist', type=Path, help='source package, for offline nodes')
    parser.add_argument('--force', action='store_true', help='compile anew')
    args = parser.parse_args(argv)
    if args.sdist is not None and not args.sdist.is_file():
        parser.error(f'--sdist {args.sdist}: no such file')
    key, settings = target(args.device)
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    folder = cache / 's5_mm/wheels' / key
    wheels = list(folder.glob('*.whl'))
    if args.force or not wheels:
        print(f'compiling for {key}: 78 files, 28 to 63 minutes of CPU time without '
              'CUDA', flush=True)  # fmt: skip
        with tempfile.TemporaryDirectory(prefix='s5_mm_ops_') as name:
            compile_wheel(Path(name), args.sdist, settings)
            folder.mkdir(parents=True, exist_ok=True)
            for wheel in Path(name).glob('*.whl'):
                part = folder / f'{wheel.name}.part'
                part.write_bytes(wheel.read_bytes())
                part.replace(folder / wheel.name)
    (wheel,) = folder.glob('*.whl')
    _pip('install', '--quiet', '--no-deps', '--no-index', '--force-reinstall', wheel)
    # Away from the checkout, where nothing stands in for them.
    done = subprocess.run([sys.executable, '-c', PROBE], cwd=tempfile.gettempdir())
    if done.returncode:
        raise SystemExit(
            f'{wheel} is installed, and its operators do not run; compile them anew '
            'with --force, or go back: python -m pip install --force-reinstall '
            f'--no-deps {DISTRIBUTION}=={_version()}'
        )
    print(f'{wheel.name} is installed; its operators run')


def _version() -> str:
    """Version of the installed mmcv."""
    from importlib.metadata import version

    return version(DISTRIBUTION)


def _pip(*arguments: object, env: dict[str, str] | None = None) -> None:
    """Run pip; it says what is wrong."""
    command = [sys.executable, '-m', 'pip', *map(str, arguments)]
    if subprocess.run(command, env=env).returncode:
        raise SystemExit(
            f'pip {arguments[0]} failed, see above; a compiler (g++) and '
            'requirements/build.txt are needed'
        )


if __name__ == '__main__':
    start_command(main)
