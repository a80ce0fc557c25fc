"""A local file backend of mmengine whose writes are whole or absent."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from mmengine.fileio import LocalBackend, register_backend

from s5_mm.io.atomic import atomic_open, write_bytes

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
            write_bytes(filepath, data)
        else:
            with atomic_open(filepath, _check) as file:
                torch.save(content, file)


class PatientBackend(LocalBackend):
    """Local files of one directory whose removal waits until it is safe.

    Args:
        directory: What lies elsewhere is never removed: a checkpoint of a copied work
            directory names files of the original.
    """

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory).resolve()
        self._waiting: dict[str, None] = {}

    def remove(self, filepath: str | Path) -> None:
        """Remember to remove a file.

        Args:
            filepath: The file.
        """
        if Path(filepath).resolve().parent == self._directory:
            self._waiting[str(filepath)] = None

    def waiting(self, keep: set[str]) -> list[str]:
        """List the files that are going to be removed.

        Args:
            keep: Files that stay.

        Returns:
            Their names without the directory.
        """
        return [Path(path).name for path in self._waiting if path not in keep]

    def remove_now(self, keep: set[str]) -> None:
        """Remove what waits.

        Args:
            keep: Files that stay, and go on waiting.
        """
        for path in [path for path in self._waiting if path not in keep]:
            Path(path).unlink(missing_ok=True)
            del self._waiting[path]


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
