"""Weights in the .safetensors format, which cannot hold anything but tensors.

A file has one more string of JSON, the ``meta`` of a checkpoint, in its header.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from s5_mm.io.atomic import write_bytes

_META = 's5_mm.meta'


def read_safetensors(
    path: str | os.PathLike[str], device: str | torch.device = 'cpu'
) -> dict[str, Any]:
    """Read a file.

    Args:
        path: The file.
        device: Where the tensors go.

    Returns:
        Tensors by name; with ``meta`` in the file, a dict of ``state_dict`` and
        ``meta``.

    Raises:
        SafetensorError: The file is damaged.
        ValueError: The ``meta`` in it is no JSON object.
    """
    with safe_open(path, framework='pt', device=str(device)) as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = file.metadata() or {}
    if _META not in header:
        return state
    meta = json.loads(header[_META])
    if not isinstance(meta, dict):
        raise ValueError(f'its header entry {_META} is a {type(meta).__name__}')
    return dict(state_dict=state, meta=meta)


def write_safetensors(
    path: str | os.PathLike[str],
    state: Mapping[str, Tensor],
    meta: Mapping[str, Any] | None = None,
) -> None:
    """Write a file, whole or not at all.

    Args:
        path: The file.
        state: Tensors by name; views of one storage are written each for itself.
        meta: What JSON can hold, e.g. the ``dataset_meta`` of a checkpoint.

    Raises:
        TypeError: ``meta`` has something that JSON cannot hold.
    """
    header = {'format': 'pt'}
    if meta:
        header[_META] = json.dumps(meta)
    # The format has no views: save() refuses tensors that share their memory.
    own = {
        name: tensor.detach().to('cpu', copy=True).contiguous()
        for name, tensor in state.items()
    }
    write_bytes(path, save(own, metadata=header))


__all__ = ['SafetensorError', 'read_safetensors', 'write_safetensors']
