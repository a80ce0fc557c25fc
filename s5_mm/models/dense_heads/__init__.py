"""Dense heads of oriented detectors."""

from s5_mm.utils.ops import require_ops

require_ops()

from .device_oriented_rpn_head import DeviceOrientedRPNHead  # noqa: E402
from .oriented_rpn_head import OrientedRPNHead  # noqa: E402

__all__ = ['DeviceOrientedRPNHead', 'OrientedRPNHead']
