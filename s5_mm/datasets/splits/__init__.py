"""Labelled and unlabelled parts of a training set, drawn by seed."""

from .draw_splits import Size, cover, draw_order, parse_size, resolve_sizes
from .lists import Pool, read_pool, write_splits

__all__ = [
    'Pool',
    'Size',
    'cover',
    'draw_order',
    'parse_size',
    'read_pool',
    'resolve_sizes',
    'write_splits',
]
