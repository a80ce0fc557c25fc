"""Compile a wheel of mmcv with its ops, from the source package."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from ops_target import Target
from ops_wheel import DISTRIBUTION, OpsError, run, say

# Seconds between two lines of progress.
REPORT_EVERY = 30


def require_compiler() -> None:
    """Check for what the build needs besides torch.

    Raises:
        OpsError: With the line that mends it.
    """
    cxx = os.environ.get('CXX', 'g++')
    if shutil.which(cxx.split()[0]) is None:
        raise OpsError(f'no C++ compiler ({cxx}): apt install g++, or module load gcc')
    missing = [
        name
        for name in ('setuptools', 'wheel', 'packaging', 'ninja')
        if run([sys.executable, '-c', f'import {name}'])[0] != 0
    ]
    if missing:
        raise OpsError(
            f'the build needs {", ".join(missing)}: '
            'pip install -r requirements/build.txt'
        )


def cxx_standard() -> int:
    """C++ standard that the headers of the installed torch ask for.

    Returns:
        17 or more. torch 2.15's headers refuse less than C++20, while the setup
        script of onedl-mmcv 2.3.6 insists on C++17.
    """
    import torch

    header = Path(torch.__file__).parent / 'include' / 'ATen' / 'ATen.h'
    found = re.search(r'C\+\+(\d\d) or later', header.read_text(encoding='utf-8'))
    return int(found[1]) if found else 17


def unpack_source(version: str, sdist: Path | None, folder: Path) -> Path:
    """Get the source package of mmcv and make it fit the installed torch.

    Args:
        version: Version of onedl-mmcv.
        sdist: A source package at hand; ``None`` asks the package index.
        folder: Folder to work in.

    Returns:
        The unpacked source tree.

    Raises:
        OpsError: If it cannot be had.
    """
    if sdist is None:
        command = [sys.executable, '-m', 'pip', 'download', '--no-deps']
        command += ['--no-cache-dir', '--no-binary', DISTRIBUTION]
        command += ['--no-build-isolation', '--dest', str(folder)]
        status, output = run([*command, f'{DISTRIBUTION}=={version}'])
        if status != 0:
            raise OpsError(f'cannot download {DISTRIBUTION} {version}:\n{output}')
        sdist = next(folder.glob('*.tar.gz'))
    # The filter came to Python 3.10 and 3.11 with their patches .12 and .4.
    safe = {'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, **safe)
    tree = next(path.parent for path in folder.glob('*/setup.py'))
    setup_py = tree / 'setup.py'
    text = setup_py.read_text(encoding='utf-8')
    standard = max(17, cxx_standard())
    setup_py.write_text(text.replace('-std=c++17', f'-std=c++{standard}'))
    return tree


def compile_wheel(tree: Path, target: Target, log: Path) -> Path:
    """Compile the wheel and report progress.

    Args:
        tree: Source tree of mmcv.
        target: What to compile for.
        log: File that gets the compiler's output.

    Returns:
        The wheel, not yet checked.

    Raises:
        OpsError: If the compilation fails; the message ends with the first error.
    """
    env = dict(os.environ)
    env.pop('PYTHONPATH', None)
    # ninja, if it comes from the environment, is found next to the interpreter.
    env['PATH'] = f'{Path(sys.executable).parent}{os.pathsep}{env["PATH"]}'
    env.setdefault('MAX_JOBS', str(len(os.sched_getaffinity(0))))
    if target.cuda is None:
        # mmcv compiles for CUDA as soon as torch sees a GPU.
        env.update(FORCE_CUDA='0', CUDA_VISIBLE_DEVICES='')
    else:
        env.update(FORCE_CUDA='1', TORCH_CUDA_ARCH_LIST=target.archs)
    out = tree.parent / 'wheel'
    command = [sys.executable, '-m', 'pip', 'wheel', '--verbose', '--no-deps']
    command += ['--no-cache-dir', '--no-build-isolation', '--wheel-dir', str(out)]
    started = time.monotonic()
    with log.open('w') as file:
        process = subprocess.Popen(
            [*command, str(tree)], env=env, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(REPORT_EVERY)
                    break
                say(f'{progress(log)}, {time.monotonic() - started:.0f} s')
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        text = log.read_text(errors='replace')
        kept_log = Path(tempfile.gettempdir()) / 's5_mm_ops_build.log'
        kept_log.write_text(text)
        first = re.search(r'.*\berror\b.*', text, re.IGNORECASE)
        raise OpsError(
            f'compiling failed; the whole log: {kept_log}\n'
            f'first error: {first[0].strip() if first else "none named"}'
        )
    return next(out.glob('*.whl'))


def progress(log: Path) -> str:
    """Say how far the compiler is, from ninja's ``[12/78]`` in its log."""
    steps = re.findall(r'\[(\d+)/(\d+)\]', log.read_text(errors='replace'))
    return f'compiled {steps[-1][0]} of {steps[-1][1]} files' if steps else 'preparing'
