"""The checkpoints of s5_mm."""

from .keys import rename_vit_key, summarise_keys, to_segmentor_names
from .loading import CheckpointError, LoadReport, load_into, unwrap

__all__ = [
    'CheckpointError',
    'LoadReport',
    'load_into',
    'rename_vit_key',
    'summarise_keys',
    'to_segmentor_names',
    'unwrap',
]
