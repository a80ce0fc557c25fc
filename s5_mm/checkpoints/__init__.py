"""Reading and writing weights: whole or not at all, as data and never as code."""

from .atomic_io import remove_leftovers, write_whole
from .class_lists import match_classes
from .class_order import class_permutation, reorder_classes
from .keys import rename_vit_key, summarise_keys, to_segmentor_names
from .loading import CheckpointError, LoadReport, fit_to_model, load_into, unwrap
from .plain_data import from_plain, to_plain
from .safe_load import (
    DamagedCheckpointError,
    UnsafeCheckpointError,
    install_safe_loader,
    load_data_only,
)

__all__ = [
    'CheckpointError',
    'DamagedCheckpointError',
    'LoadReport',
    'UnsafeCheckpointError',
    'class_permutation',
    'fit_to_model',
    'from_plain',
    'install_safe_loader',
    'load_data_only',
    'load_into',
    'match_classes',
    'remove_leftovers',
    'rename_vit_key',
    'reorder_classes',
    'summarise_keys',
    'to_plain',
    'to_segmentor_names',
    'unwrap',
    'write_whole',
]
