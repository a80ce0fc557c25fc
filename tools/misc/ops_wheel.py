"""A wheel of mmcv: whether its compiled ops work, and the cache of those that do."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

DISTRIBUTION = 'onedl-mmcv'
# What a fresh interpreter must do with the ops: import them and run one.
PROBE = (
    'import torch; import mmcv._ext; from mmcv.ops import nms; '
    'boxes = torch.tensor([[0., 0., 2., 2.], [0., 0., 2., 2.]]); '
    'kept = nms(boxes, torch.tensor([0.9, 0.8]), 0.5)[1]; '
    'assert kept.tolist() == [0], kept'
)


class OpsError(RuntimeError):
    """The ops cannot be had; the message says what to do."""


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


def cache_root() -> Path:
    """Folder of the kept wheels: ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base) / 's5_mm' / 'wheels'


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
    kept = folder / wheel.name
    aside = folder / f'.{wheel.name}.{os.getpid()}'
    shutil.copyfile(wheel, aside)
    with aside.open('rb') as file:
        os.fsync(file.fileno())
    # Not before: the wheel may be the one that is kept.
    drop_kept(folder)
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
