"""From the archives that owners distribute to the layouts that configs read."""

from .archive import LayoutError, SourceError, SourceFile, SourceTree
from .colours import ColourTable
from .converter import Converter, Plan, dataset_config, lacking
from .jobs import ConversionJob, CopyFile, CutTiles, ReencodeImage
from .open_image import image_size
from .scene_converter import SceneConverter
from .tiles import Tile, tile_windows

__all__ = [
    'ColourTable',
    'Converter',
    'CopyFile',
    'CutTiles',
    'ConversionJob',
    'LayoutError',
    'Plan',
    'ReencodeImage',
    'SceneConverter',
    'SourceError',
    'SourceFile',
    'SourceTree',
    'Tile',
    'dataset_config',
    'image_size',
    'lacking',
    'tile_windows',
]
