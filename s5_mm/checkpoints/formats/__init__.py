"""Formats of checkpoints: whose files are recognised, and how they become ours.

A format is a module with a class that says by the names whether a file is one of its
own and translates it; the table below is all that the rest of the package knows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

from s5_mm.checkpoints.keys import plain_names

from .checkpoint_format import Converted, Format
from .hugging_face_vit import HuggingFaceViT
from .mae import MA3E, MAE, SatMAEpp, ScaleMAE, SelectiveMAE
from .official_det import OfficialDetector
from .official_s5 import OfficialMDF, OfficialS4P
from .plain_vit import PlainViT
from .rvsa_keys import RVSA
from .swin_keys import Swin

#: In the order in which they are tried: the last one takes everything.
FORMATS: tuple[Format, ...] = (
    OfficialDetector(),
    OfficialMDF(),
    OfficialS4P(),
    Swin(),
    HuggingFaceViT(),
    RVSA(),
    ScaleMAE(),
    SatMAEpp(),
    SelectiveMAE(),
    MA3E(),
    MAE(),
    PlainViT(),
)


def find_format(names: Collection[str]) -> Format:
    """Recognise a file by the names in it.

    Args:
        names: All names, as they are in the file.

    Returns:
        The first format that matches.
    """
    plain = list(plain_names(names).values())
    return next(form for form in FORMATS if form.matches(plain))


def format_named(name: str) -> Format:
    """Return a format by its name.

    Args:
        name: As in ``convert_checkpoint.py --from``.

    Raises:
        ValueError: There is no such format.
    """
    for form in FORMATS:
        if form.name == name:
            return form
    raise ValueError(
        f'unknown format {name!r}; allowed: {[form.name for form in FORMATS]}'
    )


def convert(state: Mapping[str, Tensor]) -> Converted:
    """Translate a checkpoint of any recognised format.

    Args:
        state: Tensors by the names in the file.

    Returns:
        The same tensors by the names of this package's models.

    Raises:
        CheckpointError: The names contradict each other.
    """
    return find_format(state).convert(state)


__all__ = [
    'FORMATS',
    'Converted',
    'Format',
    'convert',
    'find_format',
    'format_named',
]
