"""What goes wrong with a checkpoint whose file is sound."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint does not fit the model it was asked for."""
