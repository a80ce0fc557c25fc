"""Read the config of a run and apply the command line to it."""

from __future__ import annotations

import difflib
import os
import os.path as osp
import warnings
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from .reading import SETTINGS, read_config
from .variables import check_assignments, set_variables


def load_config(
    path: str | os.PathLike[str],
    options: Mapping[str, Any] | None = None,
    work_dir: str | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config and apply the command line to it.

    Args:
        path: Config file.
        options: Settings to override, keys with dots.
        work_dir: Folder of the run; by default the config's own, else
            ``work_dirs/<name of the config>``.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Returns:
        The config.

    Raises:
        FileNotFoundError: If there is no such file.
        KeyError: If a top-level key is probably a misspelt setting.
        ValueError: If the file cannot be read, or an assignment of it or an option
            changes nothing; it names what does.
    """
    cfg = read_with_options(path, options)
    if cfg.get('default_scope') in ('mmdet', 'mmrotate'):
        _quiet_detection()
    cfg.launcher = launcher
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', osp.splitext(osp.basename(path))[0])
    return cfg


def _quiet_detection() -> None:
    """Silence warnings about code of mmdet and mmrotate that a user cannot change.

    ``torch.meshgrid`` without ``indexing``, and mmrotate's boxes, which warn that they
    are not clipped wherever mmdet clips boxes.
    """
    for message in ('torch.meshgrid', 'The `clip` function does nothing'):
        warnings.filterwarnings('ignore', message=message)


def read_with_options(
    path: str | os.PathLike[str], options: Mapping[str, Any] | None = None
) -> Config:
    """Read a config and override settings and variables of it.

    Args:
        path: Config file.
        options: As of :func:`load_config`.

    Returns:
        The config, for a model or a part of a run.

    Raises:
        FileNotFoundError: As :func:`load_config`.
        KeyError: As :func:`load_config`.
        ValueError: As :func:`load_config`.
    """
    path = os.fspath(path)
    cfg = read_config(path)
    check_assignments(path, cfg)
    settings: dict[str, Any] = {}
    variables: dict[str, Any] = {}
    for key, value in (options or {}).items():
        known = key.split('.')[0] in SETTINGS or key == 'data_root'
        (settings if known else variables)[key] = value
    if variables:
        cfg = set_variables(path, cfg, variables)
    if 'data_root' in settings:
        move_data_root(cfg, settings.pop('data_root'))
    try:
        cfg.merge_from_dict(settings)
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f'--cfg-options {" ".join(settings)}: {error}') from error
    check_keys(cfg)
    return cfg


def make_work_dir(cfg: Config) -> None:
    """Make the folder of a run, before minutes go into what it is to hold.

    Args:
        cfg: Config with ``work_dir``.

    Raises:
        OSError: If it cannot be made or written to.
    """
    try:
        os.makedirs(cfg.work_dir, exist_ok=True)
    except OSError as error:
        raise OSError(
            f'--work-dir {cfg.work_dir}: the folder cannot be made '
            f'({error.strerror}: {error.filename}); choose one that can'
        ) from error
    if not os.access(cfg.work_dir, os.W_OK | os.X_OK):
        raise PermissionError(
            f'--work-dir {cfg.work_dir}: the folder is not writable; choose another'
        )


def check_keys(cfg: Config) -> None:
    """Refuse top-level keys that look like a misspelt setting.

    mmengine ignores what it does not know, so ``optim_wraper = ...`` would train
    with other settings than those that were written.

    Args:
        cfg: The config.

    Raises:
        KeyError: Naming the key and the setting that was probably meant.
    """
    for key in cfg:
        if key in SETTINGS:
            continue
        near = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.88)
        if near:
            raise KeyError(
                f'{cfg.filename}: unknown setting {key!r}, did you mean {near[0]!r}?'
            )


def move_data_root(cfg: Config, root: str) -> None:
    """Point every data set of a config to another folder.

    The text of a config has been evaluated when its variables can be overridden, so
    ``--cfg-options data_root=...`` alone would change nothing but the variable.

    Args:
        cfg: Changed in place: every setting called ``data_root`` that starts with the
            config's own top-level ``data_root``.
        root: The new folder.

    Raises:
        KeyError: If the config has no top-level ``data_root``.
    """
    if 'data_root' not in cfg:
        raise KeyError(f'{cfg.filename} has no top-level data_root to override')
    old, new = cfg.data_root, osp.join(root, '')

    def move(node: object) -> None:
        if isinstance(node, dict):
            value = node.get('data_root')
            if isinstance(value, str) and value.startswith(old):
                node['data_root'] = new + value[len(old) :]
            node = list(node.values())
        if isinstance(node, (list, tuple)):
            for child in node:
                move(child)

    move(cfg._cfg_dict)
