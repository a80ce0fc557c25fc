"""Where checkpoints come from: paths, web addresses, the Hugging Face Hub."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_local_rank
from mmengine.runner import CheckpointLoader

from .hugging_face import SCHEME, load_hugging_face
from .packages import PACKAGE_SCHEME, load_packaged
from .safe_load import MapLocation, load_data_only

_OURS = ('', 'local', 'http://', 'https://', SCHEME, PACKAGE_SCHEME)


def load_address(address: str, map_location: MapLocation = 'cpu') -> dict[str, Any]:
    """Load a checkpoint from anywhere, without executing anything in it.

    Args:
        address: Path, ``http(s)://``, ``hf://OWNER/REPO/PATH``, or ``package://NAME``
            for the weights inside an installed package.
        map_location: Where the tensors go, as in ``torch.load``.

    Returns:
        As :func:`load_data_only`.
    """
    if address.startswith(('http://', 'https://')):
        return load_http(address, map_location)
    if address.startswith(SCHEME):
        return load_hugging_face(address, map_location)
    if address.startswith(PACKAGE_SCHEME):
        return load_packaged(address, map_location)
    return load_local(address, map_location)


def load_local(filename: str, map_location: MapLocation = None) -> dict[str, Any]:
    """Serve mmengine's checkpoint loader for paths on this machine.

    Args:
        filename: Path, with or without the prefix ``local://``.
        map_location: Where the tensors go; ``None`` keeps them where they were saved.

    Returns:
        As :func:`load_data_only`.
    """
    return load_data_only(filename.removeprefix('local://'), map_location)


def load_http(filename: str, map_location: MapLocation = None) -> dict[str, Any]:
    """Serve mmengine's checkpoint loader for web addresses.

    Args:
        filename: Address; the file is kept in ``torch.hub``'s directory and, in a
            distributed run, fetched by the first process of each machine.
        map_location: Where the tensors go; ``None`` keeps them where they were saved.

    Returns:
        As :func:`load_data_only`.
    """
    folder = os.path.join(torch.hub.get_dir(), 'checkpoints')
    path = os.path.join(folder, os.path.basename(urlparse(filename).path))
    if get_local_rank() == 0 and not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        torch.hub.download_url_to_file(filename, path, progress=os.isatty(0))
    barrier()
    return load_data_only(path, map_location)


def install_safe_loader() -> None:
    """Make every checkpoint that mmengine opens go through this module.

    Covers ``load_from``, ``resume``, ``init_cfg=dict(type='Pretrained')`` and
    mmengine's ``load_checkpoint``, for files, web addresses, ``hf://`` and
    ``package://``; the host's other schemes (``torchvision://``, ``s3://``, ...) are
    refused, because they would execute pickles.  Called by the commands, not on
    import, because it changes the host for the whole process.
    """
    others = [scheme for scheme in CheckpointLoader._schemes if scheme not in _OURS]
    CheckpointLoader.register_scheme(others, load_unsupported, force=True)
    for schemes, load in (
        (('', 'local'), load_local),
        (('http://', 'https://'), load_http),
        (SCHEME, load_hugging_face),
        (PACKAGE_SCHEME, load_packaged),
    ):
        CheckpointLoader.register_scheme(schemes, _without_program(load), force=True)


def _without_program(load: Callable[..., dict[str, Any]]) -> Callable:
    """Leave out the text of a config that mmcv 1 kept in ``meta``: a program."""

    @functools.wraps(load)
    def load_without(filename: str, map_location: MapLocation = None) -> dict[str, Any]:
        content = load(filename, map_location)
        if isinstance(content.get('meta'), dict):
            content['meta'].pop('config', None)
        return content

    return load_without


def load_unsupported(filename: str, map_location: MapLocation = None) -> None:
    """Refuse a scheme of mmengine's that has no safe loader.

    Args:
        filename: Address with its scheme.
        map_location: Not used.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        f'{filename}: this scheme is not loaded as data; expected a path, an '
        'http(s)://, hf:// or package:// address. Download the file and give its path'
    )
