"""Patches of large images with oriented boxes."""

from .cut_boxes import cut_objects
from .dota_objects import DotaObjects, format_objects, read_objects
from .plan import SplitReport
from .settings import SplitSettings
from .sources import SourceImage, find_sources
from .splitter import PatchSplitter
from .windows import patch_name, sliding_windows

__all__ = [
    'DotaObjects',
    'PatchSplitter',
    'SourceImage',
    'SplitReport',
    'SplitSettings',
    'cut_objects',
    'find_sources',
    'format_objects',
    'patch_name',
    'read_objects',
    'sliding_windows',
]
