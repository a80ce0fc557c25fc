"""Pictures of training: panels of what a model sees, curves of how it learns."""

from .curves import plot_runs, read_scalars
from .drawing import colorize, heat_map, legend, overlay
from .oriented_boxes import OrientedBoxes, detection_panel, draw_oriented_boxes
from .palette import categorical_palette, palette_of
from .panels import PseudoLabelView, grid, prediction_panel, pseudo_label_panel

__all__ = [
    'OrientedBoxes',
    'PseudoLabelView',
    'categorical_palette',
    'colorize',
    'detection_panel',
    'draw_oriented_boxes',
    'grid',
    'heat_map',
    'legend',
    'overlay',
    'palette_of',
    'plot_runs',
    'prediction_panel',
    'pseudo_label_panel',
    'read_scalars',
]
