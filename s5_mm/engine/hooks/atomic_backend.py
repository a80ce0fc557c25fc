"""A local file backend of mmengine whose writes are whole or absent."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from mmengine.fileio import LocalBackend, register_backend

from s5_mm.checkpoints.atomic_io import write_whole

BACKEND_NAME = 's5_mm.atomic'
_TICKET = 'staged_checkpoint'
_staged: dict[str, dict[str, Any]] = {}


def stage(checkpoint: dict[str, Any]) -> None:
    """Take the content out of a checkpoint that mmengine is about to write.

    mmengine serialises a checkpoint to memory and hands the bytes to the backend,
    which for a big model is another one or two copies of it.  What is left in the
    dict here is a ticket; the backend writes the content straight to the file.

    Args:
        checkpoint: The complete checkpoint; emptied in place but for the ticket.
    """
    ticket = uuid4().hex
    _staged[ticket] = dict(checkpoint)
    checkpoint.clear()
    checkpoint[_TICKET] = ticket


def discard_staged() -> None:
    """Let go of contents whose write never came, after an error in between."""
    _staged.clear()


@register_backend(BACKEND_NAME, force=True)
class AtomicLocalBackend(LocalBackend):
    """Local files, written aside, forced to the disk, checked and renamed.

    Chosen by ``backend_args=dict(backend='s5_mm.atomic')``.  (mmengine 0.10.12's
    ``LocalBackend.put`` writes in place: killed half-way it leaves a truncated file.)
    """

    def put(self, obj: bytes | io.BytesIO, filepath: str | Path) -> None:
        """Write bytes, or the staged checkpoint they stand for.

        Args:
            obj: The bytes, or those of the ticket that :func:`stage` left.
            filepath: The file to write.

        Raises:
            OSError: The disk is full or failed; an older file is untouched.
            ValueError: A staged checkpoint would not load as data.
        """
        data = obj.getvalue() if isinstance(obj, io.BytesIO) else obj
        content = _redeem(data) if _staged else None
        if content is None:
            write_whole(filepath, lambda file: file.write(data))
        else:
            write_whole(filepath, lambda file: torch.save(content, file), _check)


def _redeem(data: bytes) -> dict[str, Any] | None:
    """Find the staged checkpoint that the bytes stand for, if any."""
    if not data.startswith(b'PK') or len(data) > 2**20:
        return None
    extra = torch.load(io.BytesIO(data), map_location='cpu', weights_only=True)
    content = _staged.pop(extra.pop(_TICKET, ''), None)
    if content is not None:
        content.update(extra)  # what later hooks added
    return content


def _check(path: str) -> None:
    """Read a complete checkpoint back as data, its tensors mapped, not copied."""
    try:
        torch.load(path, map_location='cpu', weights_only=True, mmap=True)
    except Exception as error:
        reason = str(error).partition('WeightsUnpickler error:')[2].strip() or error
        raise ValueError(
            f'{path}: the checkpoint would not be readable as data: {reason}. Every '
            'entry that a hook adds must be made of tensors, numbers, strings, lists '
            'and dicts; the previous checkpoint is kept'
        ) from error
