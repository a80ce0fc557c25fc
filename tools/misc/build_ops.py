"""Compile the ops of mmcv once, keep the wheel, install it.

The index has onedl-mmcv as a source package only, and what pip builds from it
without torch in sight has no compiled ops. pip keeps that op-less wheel in its own
cache and hands it out again under the same name. So this command compiles beside
pip's cache, keeps the wheel in a cache of its own, and takes no wheel, fresh or kept,
whose ``mmcv._ext`` does not import in a new interpreter.

    python tools/misc/build_ops.py               # compile or take from the cache
    python tools/misc/build_ops.py --wheel FILE  # adopt a wheel compiled elsewhere
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION = 'onedl-mmcv'
# Seconds between two lines of progress.
REPORT_EVERY = 30
# What a fresh interpreter must do with the ops: import them and run one.
PROBE = (
    'import torch; import mmcv._ext; from mmcv.ops import nms; '
    'boxes = torch.tensor([[0., 0., 2., 2.], [0., 0., 2., 2.]]); '
    'kept = nms(boxes, torch.tensor([0.9, 0.8]), 0.5)[1]; '
    'assert kept.tolist() == [0], kept'
)


class OpsError(RuntimeError):
    """The ops cannot be had; the message says what to do."""


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


def cache_root() -> Path:
    """Folder of the kept wheels: ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base) / 's5_mm' / 'wheels'


def say(message: str) -> None:
    """Print one line at once, also into a pipe."""
    print(f'[ops] {message}', flush=True)


def run(command: list[str], python_path: Path | None = None) -> tuple[int, str]:
    """Run a command and collect what it prints.

    Args:
        command: Program and arguments.
        python_path: Folder put before all others on the module path.

    Returns:
        Exit status, and stdout and stderr together.
    """
    env = dict(os.environ)
    env.pop('PYTHONPATH', None)
    if python_path is not None:
        env['PYTHONPATH'] = str(python_path)
    # Away from the checkout, whose folders must not shadow what is installed.
    done = subprocess.run(
        command,
        env=env,
        cwd=tempfile.gettempdir(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout


def ops_work(python_path: Path | None = None) -> tuple[bool, str]:
    """Try the ops in a new interpreter.

    Args:
        python_path: Folder with an unpacked wheel; ``None`` for what is installed.

    Returns:
        Whether they work, and the last line that was printed.
    """
    status, output = run([sys.executable, '-c', PROBE], python_path)
    lines = output.strip().splitlines()
    return status == 0, lines[-1] if lines else ''


def check_wheel(wheel: Path) -> None:
    """Refuse a wheel without compiled ops, or one that is damaged.

    Raises:
        OpsError: With the reason.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            damaged = archive.testzip()
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise OpsError(f'{wheel}: not a readable wheel ({error})') from error
    if damaged is not None:
        raise OpsError(f'{wheel}: {damaged} is damaged')
    if not any(re.fullmatch(r'mmcv/_ext[^/]*\.so', name) for name in names):
        raise OpsError(
            f'{wheel}: holds no mmcv/_ext*.so, so it was built without torch and has '
            'no compiled ops'
        )


def check_wheel_runs(wheel: Path) -> None:
    """Refuse a wheel whose ops do not run here, without installing it.

    Raises:
        OpsError: With the reason.
    """
    check_wheel(wheel)
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        works, reason = ops_work(Path(folder))
    if not works:
        raise OpsError(f'{wheel}: mmcv._ext does not import or run here: {reason}')


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    sha = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def kept_wheel(folder: Path) -> Path | None:
    """Return the wheel kept in ``folder``; sweep out what is no longer whole."""
    note = folder / 'wheel.json'
    try:
        entry = json.loads(note.read_text(encoding='utf-8'))
        wheel = folder / Path(entry['name']).name
        if digest(wheel) != entry['sha256']:
            raise OpsError('its content is not what was kept')
        check_wheel(wheel)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, OpsError) as error:
        say(f'the kept wheel in {folder} is no good ({error}): dropping it')
        drop_kept(folder)
        return None
    return wheel


def drop_kept(folder: Path) -> None:
    """Empty one folder of the cache."""
    for path in [*folder.glob('*.whl'), folder / 'wheel.json']:
        path.unlink(missing_ok=True)


def keep(wheel: Path, folder: Path) -> Path:
    """Put a checked wheel into the cache; it appears whole or not at all.

    Args:
        wheel: The file to copy.
        folder: Folder of its target.

    Returns:
        Path of the copy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drop_kept(folder)
    kept = folder / wheel.name
    aside = folder / f'.{wheel.name}.{os.getpid()}'
    shutil.copyfile(wheel, aside)
    with aside.open('rb') as file:
        os.fsync(file.fileno())
    aside.replace(kept)
    note = folder / f'.wheel.json.{os.getpid()}'
    entry = {'name': kept.name, 'sha256': digest(kept), 'built': time.ctime()}
    note.write_text(json.dumps(entry, indent=1), encoding='utf-8')
    note.replace(folder / 'wheel.json')
    return kept


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold one folder of the cache against other processes of this user."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / '.lock').open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say('another process is building the same wheel: waiting for it')
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


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


def provide(target: Target, sdist: Path | None, wheel: Path | None) -> Path:
    """Return a kept wheel for ``target``, compiling or adopting it if need be.

    Args:
        target: What the wheel must be for.
        sdist: A source package at hand, or ``None``.
        wheel: A wheel compiled elsewhere to adopt, or ``None``.

    Returns:
        Path of the wheel in the cache.

    Raises:
        OpsError: If it cannot be had.
    """
    folder = cache_root() / target.key
    with locked(folder):
        if wheel is not None:
            check_wheel_runs(wheel)
            return keep(wheel, folder)
        kept = kept_wheel(folder)
        if kept is not None:
            say(f'taking {kept}')
            return kept
        require_compiler()
        jobs = os.environ.get('MAX_JOBS', len(os.sched_getaffinity(0)))
        say(f'compiling for {target.key} with {jobs} jobs; 78 files, about 16')
        say('minutes of one core for CPU ops, several times that for CUDA')
        with tempfile.TemporaryDirectory(prefix='s5_mm_ops_') as name:
            work = Path(name)
            tree = unpack_source(target.mmcv, sdist, work)
            built = compile_wheel(tree, target, work / 'build.log')
            check_wheel_runs(built)
            return keep(built, folder)


def install(wheel: Path) -> None:
    """Install a wheel over the mmcv that is there, and try the ops.

    Raises:
        OpsError: If pip fails or the ops still do not work.
    """
    command = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps']
    status, output = run([*command, '--no-index', '--force-reinstall', str(wheel)])
    if status != 0:
        raise OpsError(f'pip cannot install {wheel}:\n{output}')
    works, reason = ops_work()
    if not works:
        raise OpsError(f'installed {wheel}, yet mmcv._ext does not work: {reason}')


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; ``None`` takes the process's own.

    Returns:
        0 if the ops work afterwards, else 1.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto')
    parser.add_argument('--version', help='of onedl-mmcv (default: the installed one)')
    parser.add_argument('--sdist', type=Path, help='source package, for offline nodes')
    parser.add_argument('--wheel', type=Path, help='adopt a wheel compiled elsewhere')
    parser.add_argument('--no-install', action='store_true', help='fill the cache only')
    parser.add_argument('--force', action='store_true', help='compile anew')
    args = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        target = find_target(args.device, args.version or mmcv_version())
        if args.force:
            with locked(cache_root() / target.key):
                drop_kept(cache_root() / target.key)
        wheel = provide(target, args.sdist, args.wheel)
        if not args.no_install:
            try:
                install(wheel)
            except OpsError as error:
                # A wheel may be whole and yet no longer fit, e.g. after a new glibc.
                say(f'{error}; building it anew')
                with locked(wheel.parent):
                    drop_kept(wheel.parent)
                wheel = provide(target, args.sdist, None)
                install(wheel)
    except OpsError as error:
        say(f'FAILED: {error}')
        return 1
    seconds = time.monotonic() - started
    done = 'kept' if args.no_install else 'installed; mmcv._ext imports and runs'
    say(f'{wheel.name} {done} ({seconds:.0f} s)')
    return 0


if __name__ == '__main__':
    sys.exit(main())
