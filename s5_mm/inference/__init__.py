"""Prediction of images that are too large to be held: bands in, bands out."""

from .banded_slide import ScoreBand, banded_scores, banded_slide
from .raster import segment_raster
from .window_network import WindowNetwork, load_network

__all__ = [
    'ScoreBand',
    'WindowNetwork',
    'banded_scores',
    'banded_slide',
    'load_network',
    'segment_raster',
]
