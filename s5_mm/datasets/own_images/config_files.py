"""Write the config files of a first run on somebody's own images."""

from __future__ import annotations

import os
from pathlib import Path

from s5_mm.io.atomic import write_bytes

from .first_run import Run
from .texts import Found, data_text, leaf_text, list_name, twin_text


def write_configs(target: Path, bases: Path, run: Run, found: Found) -> list[Path]:
    """Write the config files and the lists of a data set.

    Args:
        target: Folder of the configs.
        bases: ``configs/_base_`` of this package.
        run: Name and choices of the run.
        found: The images.

    Returns:
        The files: data set, leaf, with unlabelled images its supervised twin, lists.
        What an earlier run of this name had besides is removed.

    Raises:
        OSError: If one cannot be written.
    """
    base = os.path.relpath(bases, target)
    name, semi = run.name, found.unlabelled is not None
    path, here = target.resolve() / f'{name}.py', bases.resolve().parents[1]
    path = path.relative_to(here) if path.is_relative_to(here) else path
    texts = {
        f'{name}_data.py': data_text(base, run, found),
        f'{name}.py': leaf_text(base, str(path), run, semi),
    }
    if semi:
        texts[f'{name}_supervised.py'] = twin_text(run)
    for split in found.drawn:
        pairs = found.splits[split].names
        texts[list_name(name, split)] = ''.join(f'{pair}\n' for pair in pairs)
    for file, text in texts.items():
        write_bytes(target / file, text.encode())
    for file in set(config_names(name)) - texts.keys():
        (target / file).unlink(missing_ok=True)
    return [target / file for file in texts]


def config_names(name: str) -> list[str]:
    """List the names of all files that a run may have.

    Args:
        name: Of the run.

    Returns:
        Names of configs and lists.
    """
    lists = [list_name(name, split) for split in ('train', 'val', 'test')]
    return [f'{name}_data.py', f'{name}.py', f'{name}_supervised.py', *lists]
