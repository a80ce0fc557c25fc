"""Read and write weights: as data, never as code."""

from .class_lists import match_classes
from .class_order import class_permutation, reorder_classes
from .errors import CheckpointError
from .foreign_parts import describe_lacking, lacking_in
from .formats import FORMATS, Converted, Format, convert, find_format, format_named
from .keys import plain_names, rename_vit_key, summarise_keys, to_segmentor_names
from .loading import LoadReport, fit_to_model, load_into, unwrap
from .patch_embedding import repeat_bands, resample_patches
from .plain_data import from_plain, to_plain
from .safe_load import (
    DamagedCheckpointError,
    UnsafeCheckpointError,
    load_data_only,
)
from .safetensors_io import read_safetensors, write_safetensors
from .schemes import install_safe_loader, load_address

__all__ = [
    'FORMATS',
    'CheckpointError',
    'Converted',
    'DamagedCheckpointError',
    'Format',
    'LoadReport',
    'UnsafeCheckpointError',
    'class_permutation',
    'convert',
    'describe_lacking',
    'find_format',
    'fit_to_model',
    'format_named',
    'from_plain',
    'install_safe_loader',
    'lacking_in',
    'load_address',
    'load_data_only',
    'load_into',
    'match_classes',
    'plain_names',
    'read_safetensors',
    'rename_vit_key',
    'reorder_classes',
    'repeat_bands',
    'resample_patches',
    'summarise_keys',
    'to_plain',
    'to_segmentor_names',
    'unwrap',
    'write_safetensors',
]
