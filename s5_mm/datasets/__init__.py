"""The datasets of s5_mm: what both tasks share at once, the rest when asked for."""

from s5_mm.utils.lazy import lazy_exports

from .collate import branch_collate
from .multi_source import MultiSourceDataset
from .samplers import MultiSourceSampler, RareClassSampling
from .transforms import (
    LoadImage,
    LoadMask,
    RandomGeometry,
    RandomRotate90,
    Rotate90,
)
from .unlabelled import UnlabelledDataset

__getattr__, __dir__, LATE = lazy_exports(
    __name__,
    {
        # Segmentation, on mmseg.
        'open_earth_map': ['OpenEarthMapDataset'],
        'segmentation': ['SegDataset'],
        'transforms.packing': ['PackSample'],
        # Oriented detection, on mmdet and mmrotate.
        'oriented.dota_text': ['DotaTextDataset'],
        'oriented.voc_xml': ['VocXmlDataset'],
    },
)

__all__ = [
    'LoadImage',
    'LoadMask',
    'MultiSourceDataset',
    'MultiSourceSampler',
    'RandomGeometry',
    'RandomRotate90',
    'RareClassSampling',
    'Rotate90',
    'UnlabelledDataset',
    'branch_collate',
]
