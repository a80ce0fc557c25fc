"""Patches of large images with oriented boxes."""

from s5_mm.utils.lazy import lazy_exports

from .dota_objects import DotaObjects, format_objects, read_objects
from .source_images import SourceImage, find_sources
from .split_settings import SplitSettings

# Cutting objects takes shapely.
__getattr__, __dir__, LATE = lazy_exports(
    __name__,
    {
        'cut_boxes': ['cut_objects'],
        'patch_planner': ['SplitReport'],
        'splitter': ['PatchSplitter'],
    },
)

__all__ = [
    'DotaObjects',
    'SourceImage',
    'SplitSettings',
    'find_sources',
    'format_objects',
    'read_objects',
]
