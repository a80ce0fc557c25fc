"""Checkpoints are loaded as data, never executed.

The host's loader retries with ``weights_only=False`` when torch refuses a file
(onedl-mmengine 0.10.12, measured: a call planted in a pickle ran), and allows
``getattr`` to pickles.  This loader has no second way.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.utils import digit_version

from .file_kinds import check_is_file, describe_file
from .safetensors_io import SafetensorError, read_safetensors
from .stand_ins import finish, stand_ins

# weights_only itself could be made to run code before this version.
_SOUND_TORCH = '2.10.0'
# What readers raise on bytes that are cut off or altered.
_DAMAGE = (
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
)
MapLocation = str | torch.device | dict[str, str] | Callable[..., Any] | None


class UnsafeCheckpointError(ValueError):
    """A checkpoint holds more than data and was refused.

    Args:
        path: The file.
        reason: What torch found in it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f'{path}: refused, because it holds more than data: {reason}. Nothing '
            'was executed. If you trust its author, open it in a '
            'sandbox, keep only the tensors and save them again with '
            'torch.save(state_dict, ...) or as .safetensors'
        )


class DamagedCheckpointError(ValueError):
    """A file is no checkpoint, or only a part of one.

    Args:
        path: The file.
        reason: What is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f'{path}: damaged, or no checkpoint at all: {reason}. Expected a file '
            'written by torch.save (.pth, .pt, .bin, .tar) or a .safetensors file; '
            'copy or download it again, or resume from an older checkpoint'
        )


def load_data_only(
    path: str | os.PathLike[str], map_location: MapLocation = 'cpu'
) -> dict[str, Any]:
    """Load a checkpoint without executing anything in it.

    Args:
        path: File written by ``torch.save`` or a ``.safetensors`` file.
        map_location: Where the tensors go, as in ``torch.load``.

    Returns:
        The content: a state dict, or a dict with ``state_dict``, ``meta`` and so on.

    Raises:
        FileNotFoundError: There is no such file.
        IsADirectoryError: It is a directory.
        UnsafeCheckpointError: The file refers to code; it was not run.
        DamagedCheckpointError: The file is truncated, empty or of another kind.
    """
    path = os.path.expanduser(os.fspath(path))
    check_is_file(path)
    found = describe_file(path)
    if found is not None:
        raise DamagedCheckpointError(path, found)
    if path.endswith('.safetensors'):
        return _load_safetensors(path, map_location)
    if digit_version(torch.__version__) < digit_version(_SOUND_TORCH):
        print_log(
            f'torch {torch.__version__}: loading as data has a known hole before '
            f'{_SOUND_TORCH} (GHSA-63cw-57p8-fm3p); load only files you trust.',
            logger='current',
            level=logging.WARNING,
        )
    try:
        with stand_ins():
            content = torch.load(path, map_location=map_location, weights_only=True)
        content = finish(content)
    except pickle.UnpicklingError as error:
        refused = _refused_name(error)
        if refused is not None and not _ends_in(path, refused):
            raise UnsafeCheckpointError(path, refused) from error
        raise DamagedCheckpointError(path, _reason(error)) from error
    except torch.OutOfMemoryError:
        raise  # the file is sound
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise  # not to be read: the file or its disk, as the system says
        if 'TorchScript' in str(error):
            raise UnsafeCheckpointError(path, 'it is a TorchScript program') from error
        raise DamagedCheckpointError(path, _reason(error)) from error
    if not isinstance(content, dict):
        raise DamagedCheckpointError(
            path, f'it holds a {type(content).__name__}, not a dict of tensors'
        )
    return content


def _load_safetensors(path: str, map_location: MapLocation) -> dict[str, Any]:
    """Load a file that cannot hold anything but tensors."""
    device = map_location if isinstance(map_location, (str, torch.device)) else 'cpu'
    try:
        return read_safetensors(path, device)
    except (SafetensorError, ValueError) as error:
        raise DamagedCheckpointError(path, _reason(error)) from error


def _refused_name(error: BaseException) -> str | None:
    """Name what torch refused, or ``None`` where the bytes are no pickle at all."""
    found = re.search(r'GLOBAL ([\w.]+)', str(error))
    if found:
        return f'it refers to the function or class {found[1]}'
    text = _first_sentence(error)
    return text if text.startswith(('Trying to', 'Can only')) else None


def _ends_in(path: str, refused: str) -> bool:
    """Tell whether the name that was refused is one that the end of a file cuts off."""
    name = refused.rpartition('.')[2].encode()
    with open(path, 'rb') as file:
        file.seek(-min(os.path.getsize(path), len(name) + 1), os.SEEK_END)
        # torch drops the last character of a line: there it is no line feed.
        return file.read()[:-1] == name


def _reason(error: BaseException) -> str:
    """Say what a reader found in bytes that are cut off or altered."""
    text, kind = _first_sentence(error), type(error).__name__
    return f'cut off or altered ({kind}: {text})' if text else f'cut off ({kind})'


def _first_sentence(error: BaseException) -> str:
    """Cut off torch's advice, which ends in "set weights_only=False"."""
    text = ' '.join(str(error).split())
    text = text.rpartition('WeightsUnpickler error:')[2].strip()
    return re.split(r'\. | Check the documentation', text)[0].rstrip('.')
