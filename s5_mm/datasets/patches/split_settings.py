"""What decides the patches of a split, and the record of it beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from s5_mm.io.atomic import write_bytes
from s5_mm.io.images.windows import scale_windows
from s5_mm.utils.argument_checks import check_choice, check_number

SPLIT_RECORD = 'split.json'
"""File in the destination that holds the settings."""

# These let more images in and leave the patches of the others as they are, so a run may
# go on with other values.
_NOT_RECORDED = ('high_byte', 'missing_ann')

IMAGES, ANNOTATIONS = 'images', 'annfiles'
"""Folders of a destination, as mmrotate's splitter names them."""


@dataclass(frozen=True)
class SplitSettings:
    """Settings of a split; the same ones give the same bytes.

    Attributes:
        sizes: Sides of the windows in pixels.
        gaps: Overlap of neighbouring windows in pixels, one a size.
        rates: Multi-scale: sizes and gaps are divided by each of them.
        img_rate_thr: Share of a window that must be image.
        iof_thr: Share of an object that must be inside of its patch.
        padding_value: Blue, green and red of what is beyond the image, in the order of
            mmrotate's splitter; None: patches end with the image.
        save_ext: ``'.png'`` or ``'.jpg'``.
        high_byte: Take the upper byte of 16-bit samples.
        missing_ann: ``'error'``, or ``'empty'`` to take an image whose annotation is
            missing as one without objects.

    Raises:
        ValueError: If a setting is not one of the allowed ones.
    """

    sizes: tuple[int, ...] = (1024,)
    gaps: tuple[int, ...] = (200,)
    rates: tuple[float, ...] = (1.0,)
    img_rate_thr: float = 0.6
    iof_thr: float = 0.7
    padding_value: tuple[int, int, int] | None = (104, 116, 124)
    save_ext: str = '.png'
    high_byte: bool = False
    missing_ann: str = 'error'

    def __post_init__(self) -> None:
        scale_windows(self.sizes, self.gaps, self.rates)
        check_number('img_rate_thr', self.img_rate_thr, 0, 1)
        why = ': at 0 every patch would have every object'
        check_number('iof_thr', self.iof_thr, above=0, most=1, why=why)
        value = self.padding_value
        if value is not None and (
            len(value) != 3 or not all(0 <= v <= 255 for v in value)
        ):
            raise ValueError(
                f'padding_value={list(value)}, expected blue, green and red in 0..255'
            )
        check_choice('save_ext', self.save_ext, ('.png', '.jpg'))
        check_choice('missing_ann', self.missing_ann, ('error', 'empty'))

    def scaled(self) -> tuple[list[int], list[int]]:
        """Give sizes and gaps with the rates worked in.

        Returns:
            Sizes and gaps in pixels.
        """
        return scale_windows(self.sizes, self.gaps, self.rates)

    def record(self) -> str:
        """Write down what decides the bytes of a patch.

        Returns:
            JSON.
        """
        kept = {k: v for k, v in asdict(self).items() if k not in _NOT_RECORDED}
        return json.dumps(kept, indent=2) + '\n'


def record_settings(settings: SplitSettings, dst: Path) -> None:
    """Write the settings of a new destination, or compare with those of an old one.

    Args:
        settings: Settings of this run.
        dst: The destination.

    Raises:
        ValueError: If patches of other settings, or of unknown ones, are there.
    """
    path = dst / SPLIT_RECORD
    if path.exists():
        check_record(settings, dst)
        return
    for folder in (dst / IMAGES, dst / ANNOTATIONS):
        if folder.is_dir() and any(folder.iterdir()):
            raise ValueError(
                f'{folder}: it has files but {path} does not exist, expected an empty '
                'folder or one that this command made'
            )
    (dst / IMAGES).mkdir(parents=True, exist_ok=True)
    (dst / ANNOTATIONS).mkdir(exist_ok=True)
    write_bytes(path, settings.record().encode())


def check_record(settings: SplitSettings, dst: Path) -> None:
    """Compare the settings with those that a destination was made with.

    Args:
        settings: Settings of this run.
        dst: The destination.

    Raises:
        ValueError: If there are none, or they differ.
    """
    path = dst / SPLIT_RECORD
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
        wanted = json.loads(settings.record())
        pairs = {key: (found[key], wanted[key]) for key in wanted}
    except FileNotFoundError as error:
        raise ValueError(f'{path}: there is no such file, so no split') from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: is no record of a split ({type(error).__name__}: {error})'
        ) from error
    for key, (old, new) in pairs.items():
        if old != new:
            raise ValueError(
                f'{path}: {key} was {old}, now it is {new}; expected the same settings '
                'or another destination'
            )
