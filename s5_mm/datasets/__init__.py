"""The datasets of s5_mm."""

from .collate import branch_collate
from .image_io import ImageError, read_image, read_mask
from .multi_source import MultiSourceDataset
from .open_earth_map import OpenEarthMapDataset
from .path_table import PathTable
from .samplers import MultiSourceSampler
from .segmentation import SegDataset
from .transforms import LoadImage, LoadMask, PackSample, RandomGeometry
from .unlabelled import UnlabelledDataset

__all__ = [
    'ImageError',
    'LoadImage',
    'LoadMask',
    'MultiSourceDataset',
    'MultiSourceSampler',
    'OpenEarthMapDataset',
    'PackSample',
    'PathTable',
    'RandomGeometry',
    'SegDataset',
    'UnlabelledDataset',
    'branch_collate',
    'read_image',
    'read_mask',
]
