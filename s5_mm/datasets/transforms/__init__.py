"""The transforms of s5_mm: what both tasks share at once, the rest when asked for."""

from s5_mm.utils.lazy import lazy_exports

from .draws import transform_generator
from .load_images import LoadImage, LoadMask
from .random_geometry import RandomGeometry
from .rotate90 import RandomRotate90, Rotate90

__getattr__, __dir__, LATE = lazy_exports(
    __name__, {'packing': ['PackSample']}
)  # segmentation, on mmseg

__all__ = [
    'LoadImage',
    'LoadMask',
    'RandomGeometry',
    'RandomRotate90',
    'Rotate90',
    'transform_generator',
]
