"""Tiny synthetic scenes, their generator and toy configs for tests and demo."""

from .adversarial import AdversarialPool, adversarial_pool
from .canvas import OrientedBox
from .defects import DEFECTS, spoil
from .scenes import METAINFO, Scene, draw_scene
from .toy import toy_backbone, toy_detector, toy_segmentor
from .writer import dota_text, planted_defects, write_dataset

__all__ = [
    'DEFECTS',
    'AdversarialPool',
    'METAINFO',
    'OrientedBox',
    'Scene',
    'adversarial_pool',
    'dota_text',
    'draw_scene',
    'planted_defects',
    'spoil',
    'toy_backbone',
    'toy_detector',
    'toy_segmentor',
    'write_dataset',
]
