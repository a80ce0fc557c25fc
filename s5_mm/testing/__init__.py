"""Tiny synthetic scenes, their generator and toy configs for tests and demo."""

from .canvas import OrientedBox
from .defects import DEFECTS, spoil
from .scenes import METAINFO, Scene, draw_scene
from .toy import toy_backbone, toy_detector, toy_segmentor
from .writer import dota_text, write_dataset

__all__ = [
    'DEFECTS',
    'METAINFO',
    'OrientedBox',
    'Scene',
    'dota_text',
    'draw_scene',
    'spoil',
    'toy_backbone',
    'toy_detector',
    'toy_segmentor',
    'write_dataset',
]
