"""Dense heads of oriented detectors."""

from .device_oriented_rpn_head import DeviceOrientedRPNHead
from .oriented_rpn_head import OrientedRPNHead

__all__ = ['DeviceOrientedRPNHead', 'OrientedRPNHead']
