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

import os
import sys
import tempfile
import time
from pathlib import Path

# `python -I` and `-P` leave the folder of the command off the path.
sys.path.insert(0, str(Path(__file__).parent))

from env_command import CommandParser, start_command
from ops_compile import compile_wheel, require_compiler, unpack_source
from ops_target import Target, find_target, mmcv_version
from ops_wheel import (
    OpsError,
    cache_root,
    check_wheel_runs,
    drop_kept,
    keep,
    kept_wheel,
    locked,
    ops_work,
    run,
    say,
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
        say(f'compiling for {target.key} with {jobs} jobs; 78 files, 28 to 63')
        say('minutes of CPU time for CPU ops, several times that for CUDA')
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
    parser = CommandParser(__doc__.splitlines()[0], __file__)
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
        raise SystemExit(str(error)) from None
    seconds = time.monotonic() - started
    done = 'kept' if args.no_install else 'installed; mmcv._ext imports and runs'
    say(f'{wheel.name} {done} ({seconds:.0f} s)')
    return 0


if __name__ == '__main__':
    start_command(main)
