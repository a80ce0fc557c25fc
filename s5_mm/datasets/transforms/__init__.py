"""The transforms of s5_mm."""

from .draws import transform_generator
from .geometry import RandomGeometry
from .loading import LoadImage, LoadMask
from .packing import PackSample

__all__ = [
    'LoadImage',
    'LoadMask',
    'PackSample',
    'RandomGeometry',
    'transform_generator',
]
