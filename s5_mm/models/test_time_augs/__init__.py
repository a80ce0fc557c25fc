"""Models that merge the predictions of several views of an image."""

from s5_mm.utils.ops import require_ops

require_ops()

from .oriented_tta import OrientedTTAModel  # noqa: E402

__all__ = ['OrientedTTAModel']
