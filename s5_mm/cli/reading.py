"""Evaluate a config file, and say where it is wrong."""

from __future__ import annotations

import ast
import difflib
import inspect
import os
import os.path as osp
import traceback

from mmengine.config import Config
from mmengine.runner import Runner

from s5_mm.utils.ordered_config import OrderedConfig

#: Top-level settings that mmengine's runner reads.
RUNNER_KEYS = frozenset(inspect.signature(Runner.__init__).parameters) - {
    'self',
    'cfg',
}
_ALSO_READ = frozenset(
    {
        'compile',
        'find_unused_parameters',
        'model_wrapper_cfg',
        'runner_type',
        'sync_bn',
        'tta_model',
        'tta_pipeline',
    }
)
#: All top-level keys that something reads.
SETTINGS = RUNNER_KEYS | _ALSO_READ


def read_config(path: str) -> Config:
    """Evaluate a config file and its bases.

    Args:
        path: The file.

    Returns:
        The config, its text in the order of the settings.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be evaluated; names the line where it is one of a
            config file.
    """
    if not osp.isfile(path):
        kind = 'is a folder, expected a config file' if osp.isdir(path) else None
        raise FileNotFoundError(f'{path} {kind}' if kind else _no_config(path))
    try:
        cfg = Config.fromfile(path)
    except FileNotFoundError as error:
        base = _missing_base(path)
        if base is None:
            raise
        raise ValueError(base) from error
    except SyntaxError as error:
        # mmengine names the copy that it evaluates.
        raise ValueError(_syntax_error(path) or f'{path}: {error}') from error
    except Exception as error:
        places = [
            f'{frame.filename}, line {frame.lineno}: '
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.name == '<module>' and '/mmengine/' not in frame.filename
        ][-1:]
        text = error.args[0] if isinstance(error, KeyError) else error
        raise ValueError(
            f'{"".join(places) or f"{path}: "}{type(error).__name__}: {text}'
        ) from error
    object.__setattr__(cfg, '__class__', OrderedConfig)
    return cfg


def _missing_base(path: str) -> str | None:
    """Say which file of a config, or of its bases, names a base that is not there."""
    for base in Config._get_base_files(path):
        found = Config._get_cfg_path(base, path)[0]
        if not osp.isfile(found):
            return f'{path}: _base_ {base!r}: {_no_config(osp.normpath(found))}'
        below = _missing_base(found)
        if below:
            return below
    return None


def _no_config(path: str) -> str:
    """Say that there is no config, and which one may have been meant."""
    folder = osp.dirname(path) or '.'
    files = [name for name in _listed(folder) if name.endswith('.py')]
    near = difflib.get_close_matches(osp.basename(path), files, 1)
    hint = f', did you mean {osp.join(osp.dirname(path), near[0])}?' if near else ''
    return f'there is no config file {path}{hint}'


def _listed(folder: str) -> list[str]:
    """Names in a folder, [] if there is none."""
    return sorted(os.listdir(folder)) if osp.isdir(folder) else []


def _syntax_error(path: str) -> str | None:
    """Say where a config or one of its bases is no Python."""
    try:
        with open(path, encoding='utf-8') as file:
            ast.parse(file.read())
        for base in Config._get_base_files(path):
            found = _syntax_error(Config._get_cfg_path(base, path)[0])
            if found:
                return found
    except SyntaxError as error:
        return f'{path}, line {error.lineno}: {error.msg}'
    return None
