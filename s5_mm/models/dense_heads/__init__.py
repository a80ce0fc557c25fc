"""Dense heads of oriented detectors."""

from s5_mm.utils.ops import require_ops

require_ops()

from .oriented_rpn_head import OrientedRPNHead  # noqa: E402

__all__ = ['OrientedRPNHead']
