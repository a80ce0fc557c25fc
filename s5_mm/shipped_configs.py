"""Where the configs of the package are, for the configs of other projects."""

from __future__ import annotations

import difflib
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def config_path(name: str) -> str:
    """Return the path of one of the package's configs.

    mmengine evaluates the right side of ``_base_ = ...`` before it looks at
    ``custom_imports``, so a config of another project imports the package there::

        _base_ = __import__('s5_mm').config_path('s4p/vit-l_rs4p1m.py')

    Args:
        name: Path below ``configs``.

    Returns:
        Absolute path of the config, installed or in the checkout.

    Raises:
        FileNotFoundError: If there is no such config.
    """
    # `.mim` is in wheels and editable installs, `configs` in a checkout.
    roots = _PACKAGE / '.mim' / 'configs', _PACKAGE.parent / 'configs'
    root = next((root for root in roots if root.is_dir()), roots[0])
    path = root / name
    if path.is_file():
        return str(path)
    known = sorted(
        file.relative_to(root).as_posix()
        for file in root.rglob('*.py')
        if '_base_' not in file.parts
    )
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
    raise FileNotFoundError(
        f'{root} has no config {name!r}; '
        + (f'near it are {", ".join(near)}' if near else f'it has {len(known)} others')
    )
