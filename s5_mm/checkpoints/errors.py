"""What goes wrong with a checkpoint whose file is sound."""

from __future__ import annotations

#: What to type so that tensors of another shape are left out, not an error.
SKIP_OPTION = '--cfg-options default_hooks.checkpoint_fit.mismatch=skip'


class CheckpointError(ValueError):
    """A checkpoint does not fit the model it was asked for."""
