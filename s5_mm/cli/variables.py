"""Variables of a config that its other settings are made of.

mmengine evaluates the text of a config, and of each base before the file that names it,
so a variable that is assigned afterwards changes nothing but itself: neither does
``--cfg-options crop_size=...`` nor ``crop_size = ...`` in a leaf.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from .config_text import dead_assignments, differences, named, places, variables_set
from .reading import SETTINGS, read_config

_MOST = 4  # keys that a message names


def set_variables(path: str, cfg: Config, values: Mapping[str, Any]) -> Config:
    """Read a config with other values of its variables.

    Args:
        path: The file.
        cfg: The config as it is written.
        values: Variable, with dots for a part of a dictionary -> value.

    Returns:
        What the file would be with these values written into it and its bases.

    Raises:
        ValueError: If there is no such variable, or if it decides over nothing.
    """
    for key in values:
        name = key.split('.')[0]
        if name not in cfg:
            near = difflib.get_close_matches(name, {*cfg, *SETTINGS}, 1)
            hint = f', did you mean {near[0]!r}?' if near else _of_that_name(name, cfg)
            raise ValueError(
                f'--cfg-options {key}: {path} has no setting or variable {name!r}{hint}'
            )
    values = {
        key: tuple(value)
        if isinstance(value, list) and isinstance(cfg.get(key), tuple)
        else value
        for key, value in values.items()
    }
    given = ' '.join(f'{key}={value}' for key, value in values.items())
    try:
        with variables_set(values):
            changed = read_config(path)
    except ValueError as error:
        raise ValueError(f'--cfg-options {given}: {error}') from error
    for key, value in values.items():
        name = key.split('.')[0]
        if changed.get(name) == cfg.get(name):
            continue
        with variables_set({key: value}):
            alone = read_config(path)
        if all(
            where == name or where.startswith(f'{name}.')
            for where in differences(cfg.to_dict(), alone.to_dict())
        ):
            raise ValueError(
                f'--cfg-options {key}={value}: no setting of {path} is made of '
                f'{name}{_instead(name, cfg)}'
            )
    return changed


def _instead(name: str, cfg: Config) -> str:
    """Name the settings that have the value of a variable."""
    tree = {key: value for key, value in cfg.to_dict().items() if key in SETTINGS}
    keys = list(places(cfg.to_dict()[name], tree))
    return f'; the settings that count: {_some(keys)}' if keys else ''


def _of_that_name(name: str, cfg: Config) -> str:
    """Name the settings whose last part is a name that stands nowhere else."""
    tree = {key: value for key, value in cfg.to_dict().items() if key in SETTINGS}
    keys = [key for key in named(tree) if key.rpartition('.')[2] == name]
    return f', did you mean {_some(keys)}?' if keys else ''


def _some(keys: Sequence[str]) -> str:
    """List the first keys."""
    more = f' and {len(keys) - _MOST} more' if len(keys) > _MOST else ''
    return ', '.join(keys[:_MOST]) + more


def check_assignments(path: str, cfg: Config) -> None:
    """Refuse variables that a config assigns in vain.

    A base is evaluated before the file that names it: what the base makes of a
    variable stays as it is when the file assigns the variable again.

    Args:
        path: The file.
        cfg: What it holds.

    Raises:
        ValueError: Naming the file, the variable and the settings of the base that are
            made of it.
    """
    for file, name in dead_assignments(path, SETTINGS):
        written = cfg if file == path else read_config(file)
        with variables_set({name: written.to_dict()[name]}):
            meant = read_config(file)
        keys = [
            key
            for key in differences(written.to_dict(), meant.to_dict())
            if key.split('.')[0] in SETTINGS
        ]
        if keys:
            raise ValueError(
                f'{file}: {name} = {written[name]!r} changes nothing, as its bases are '
                f'evaluated first; set what they make of it: {_some(keys)}'
            )
