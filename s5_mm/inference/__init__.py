"""Prediction of images that are too large to be held: bands in, bands out."""

from .banded_slide import banded_scores, banded_slide
from .segment_raster import segment_raster
from .window_network import WindowNetwork, load_network
from .window_sums import ScoreTile, WindowSums

__all__ = [
    'ScoreTile',
    'WindowNetwork',
    'WindowSums',
    'banded_scores',
    'banded_slide',
    'load_network',
    'segment_raster',
]
