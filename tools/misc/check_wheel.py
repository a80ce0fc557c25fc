"""Prove that the wheel holds every package, config and tool, and nothing stale.

Every module that was packed is imported and every config read, from the wheel.

    python tools/misc/check_wheel.py             # build a wheel and check it
    python tools/misc/check_wheel.py FILE.whl    # check this one
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from s5_mm.cli.command import CommandParser, start_command

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = 's5_mm'
# What goes to `s5_mm/.mim`; setup.py has the same list.
MIM_PARTS = ('tools', 'configs', 'data_curation', 'model-index.yml')
BUILD_FILES = ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE', 'README.md')
EXTRAS = ('det', 'curation', 'geo', 'timm', 'hub', 'gpu', 'mminstall', 'tests', 'docs')
# Imports every module that was packed, and reads every config with its bases.
PROBE = """
import importlib, pathlib, pkgutil, sys
# An editable install would serve, from the checkout, what the wheel lacks.
sys.meta_path[:] = [f for f in sys.meta_path
                    if '__editable__' not in getattr(f, '__module__', '')]
import s5_mm
from mmengine.config import Config
root = pathlib.Path(s5_mm.__file__).parent
assert root == pathlib.Path(sys.argv[1]) / 's5_mm', f's5_mm came from {root}'
names = [m.name for m in pkgutil.walk_packages([str(root)], 's5_mm.')]
configs = sorted((root / '.mim' / 'configs').rglob('*.py'))
leaves = [path for path in configs if '_base_' not in path.parts]
faults = []
for name in names:
    try:
        importlib.import_module(name)
    except Exception as error:
        faults.append(f'{name}: {type(error).__name__}: {error}')
for path in leaves:
    try:
        Config.fromfile(str(path))
    except Exception as error:
        faults.append(f'{path.relative_to(root)}: {type(error).__name__}: {error}')
print('\\n'.join(faults) or
      f'{len(names)} modules import, {len(leaves)} configs read')
sys.exit(bool(faults))
"""


def copy_tree(root: Path, target: Path) -> None:
    """Copy what a wheel is built from, so that no build folder stays in the tree.

    Args:
        root: The checkout.
        target: Folder to fill.
    """
    skip = shutil.ignore_patterns('__pycache__', '.mim')
    for name in (PACKAGE, 'requirements', *MIM_PARTS, *BUILD_FILES):
        path = root / name
        if path.is_dir():
            shutil.copytree(path, target / name, ignore=skip)
        elif path.exists():
            shutil.copy2(path, target / name)


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout, with what is installed.

    Args:
        folder: Where to put it.

    Returns:
        The wheel.

    Raises:
        RuntimeError: If the build fails, with what pip printed.
    """
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-index']
    command += ['--no-build-isolation', '--wheel-dir', str(folder)]
    with tempfile.TemporaryDirectory() as tree:
        copy_tree(ROOT, Path(tree))
        done = subprocess.run([*command, tree], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f'building the wheel failed:\n{done.stdout}{done.stderr}')
    return next(folder.glob(f'{PACKAGE}-*.whl'))


def tree_files(folder: Path) -> list[Path]:
    """Files below a folder that belong to the project, without caches.

    ``configs/own`` are the configs of who builds, see ``tools/new_dataset.py``;
    ``tools/benchmarks`` runs from a checkout.
    """
    if folder.is_file():
        return [folder]
    found = []
    for path in sorted(folder.rglob('*')):
        parts = path.relative_to(folder).parts
        if {'__pycache__', 'benchmarks', 'own'} & set(parts) or any(
            part.startswith('.') for part in parts
        ):
            continue
        if path.is_file() and path.suffix not in ('.pyc', '.pyo'):
            found.append(path)
    return found


def expected_files(root: Path) -> dict[str, Path]:
    """List what the wheel must hold.

    Args:
        root: The checkout.

    Returns:
        From the name in the wheel to the file in the tree.
    """
    files = {
        path.relative_to(root).as_posix(): path for path in tree_files(root / PACKAGE)
    }
    for part in MIM_PARTS:
        if (root / part).exists():
            for path in tree_files(root / part):
                files[f'{PACKAGE}/.mim/{path.relative_to(root).as_posix()}'] = path
    return files


def requirement_names(root: Path, name: str) -> set[str]:
    """Requirements of one file, in the normal form of :func:`normal`."""
    text = (root / 'requirements' / f'{name}.txt').read_text(encoding='utf-8')
    lines = (line.partition('#')[0].strip() for line in text.splitlines())
    return {normal(line) for line in lines if line}


def normal(requirement: str) -> str:
    """Write a requirement so that two spellings of the same one are equal."""
    return re.sub(r'\s+', '', requirement).lower().replace('_', '-')


def check_contents(wheel: Path, root: Path) -> list[str]:
    """Compare a wheel with the tree.

    Args:
        wheel: The wheel.
        root: The checkout.

    Returns:
        One line per fault, empty if there is none.
    """
    expected = expected_files(root)
    faults = []
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith('/')}
        info = next(n for n in names if n.endswith('.dist-info/METADATA'))
        headers = HeaderParser().parsestr(archive.read(info).decode())
        packed = {name for name in names if '.dist-info/' not in name}
        # mim looks for its parts beside the metadata, see setup.py.
        beside = info.removesuffix('METADATA')
        for name, path in list(expected.items()):
            if name.startswith(f'{PACKAGE}/.mim/'):
                expected[beside + name.removeprefix(f'{PACKAGE}/')] = path
        packed |= {name for name in names if name.startswith(f'{beside}.mim/')}
        for name in sorted(set(expected) - packed):
            faults.append(f'missing in the wheel: {name}')
        for name in sorted(packed - set(expected)):
            faults.append(f'in the wheel, but not in the tree: {name}')
        for name in sorted(set(expected) & packed):
            if archive.read(name) != expected[name].read_bytes():
                faults.append(f'differs from the tree: {name}')
        if not any(n.endswith('/LICENSE') for n in names):
            faults.append('missing in the wheel: LICENSE')
    return faults + check_metadata(headers.get_all('Requires-Dist') or [], root)


def check_metadata(requires: list[str], root: Path) -> list[str]:
    """Compare a wheel's requirements with the requirement files.

    Args:
        requires: The wheel's ``Requires-Dist`` lines.
        root: The checkout.

    Returns:
        One line per fault.
    """
    stated: dict[str, set[str]] = {}
    for line in requires:
        requirement, _, marker = line.partition(';')
        extra = re.search(r'extra\s*==\s*[\'"]([\w-]+)[\'"]', marker)
        stated.setdefault(extra[1] if extra else 'runtime', set()).add(
            normal(requirement)
        )
    faults = []
    for name in ('runtime', *EXTRAS):
        wanted = requirement_names(root, name)
        if stated.get(name, set()) != wanted:
            off = sorted(stated.get(name, set()) ^ wanted)
            faults.append(f'metadata and requirements/{name}.txt differ: {off}')
    return faults


def check_runs(wheel: Path) -> tuple[bool, str]:
    """Import every module of an unpacked wheel and read every config in it.

    Args:
        wheel: The wheel.

    Returns:
        Whether that works, and the last line that was printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        # The unpacked wheel comes first, before an editable install of the checkout.
        env = {**os.environ, 'PYTHONPATH': folder}
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', PROBE, folder],
            cwd=folder,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    lines = done.stdout.strip().splitlines() or ['']
    text = lines[-1] if done.returncode == 0 else '\n'.join(lines[-15:])
    return done.returncode == 0, text


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; ``None`` takes the process's own.

    Returns:
        1 if there is a fault, else 0.
    """
    parser = CommandParser(__doc__.splitlines()[0], __file__)
    parser.add_argument('wheel', nargs='?', type=Path, help='default: build one')
    args = parser.parse_args(arguments)
    if args.wheel and not zipfile.is_zipfile(args.wheel):
        raise ValueError(f'{args.wheel}: there is no such wheel, or it is damaged')
    with tempfile.TemporaryDirectory() as folder:
        wheel = args.wheel or build_wheel(Path(folder))
        faults = check_contents(wheel, ROOT)
        works, text = check_runs(wheel)
        size = wheel.stat().st_size / 1e6
        count = len(zipfile.ZipFile(wheel).namelist())
    if not works:
        faults.append(f'what was packed does not load:\n{text}')
    for fault in faults:
        print(fault)
    verdict = f'{len(faults)} faults' if faults else f'whole: {text}'
    print(f'{wheel.name}: {count} files, {size:.2f} MB, {verdict}')
    return 1 if faults else 0


if __name__ == '__main__':
    start_command(main)
