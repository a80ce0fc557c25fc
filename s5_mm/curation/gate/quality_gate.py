"""Which crops are refused before ranking, and why."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .quality import QUALITY_COLUMNS

UNREADABLE = 'unreadable'
"""Reason of crops whose source cannot be decoded; it comes before all others."""


class _Rule(NamedTuple):
    """How a figure is judged.

    Attributes:
        reason: What a refused crop is called.
        least: The figure must reach the threshold, instead of not exceed it.
        highest: Largest sensible threshold; the smallest is 0.
    """

    reason: str
    least: bool = False
    highest: float = 1.0


# In the order in which they are asked: the first one that holds is the reason.
_RULES = {
    'padding': _Rule('padding'),
    'no_data': _Rule('no_data'),
    'flat': _Rule('flat'),
    'contrast': _Rule('flat', least=True, highest=127.5),
    'constant': _Rule('constant'),
    'border': _Rule('border'),
    'repeated': _Rule('upsampled'),
    'detail': _Rule('upsampled', least=True),
    'stripes': _Rule('stripes'),
    'cloud': _Rule('cloud'),
    'colour': _Rule('grey', least=True, highest=255.0),
}
REASONS = ('', UNREADABLE, *dict.fromkeys(rule.reason for rule in _RULES.values()))
"""All that ``rejected`` can say, '' for a crop that passes."""


@dataclass(frozen=True)
class QualityGate:
    """Thresholds of the figures of :class:`~s5_mm.curation.gate.quality.Quality`.

    The defaults were set on 2,765 crops of aerial and satellite images, whose refused
    ones were looked at, and on scenes spoiled on purpose.  None switches a rule off;
    sources that cannot be decoded are refused by every gate.

    Attributes:
        padding: Largest share that the source does not fill.
        no_data: Largest share of black at the border.
        constant: Largest share of another colour at the border; saturated roofs reach
            0.2, painted water 0.13.
        border: Largest share of outer lines of one colour.
        flat: Largest share of blocks without content.  Calm water has none; a tile
            that is nothing else teaches nothing.
        contrast: Smallest standard deviation in levels.
        repeated: Largest share of lines that equal the line before, on both axes.
        detail: Smallest share of fine detail.
        stripes: Largest share of broken lines.
        cloud: Largest share of white without texture.
        colour: Smallest mean distance of the channels in levels; 0 lets grey images
            pass, which labelled sets hold too.

    Raises:
        ValueError: If a threshold is no number in its range.
    """

    padding: float | None = 0.5
    no_data: float | None = 0.05
    constant: float | None = 0.3
    border: float | None = 0.02
    flat: float | None = 0.98
    contrast: float | None = 3.0
    repeated: float | None = 0.2
    detail: float | None = 0.02
    stripes: float | None = 0.05
    cloud: float | None = 0.8
    colour: float | None = 0.0

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is None or (number and 0 <= value <= rule.highest):
                continue
            raise ValueError(
                f'gate.{name} is {value!r}, allowed are 0 to {rule.highest:g} and None'
            )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> QualityGate:
        """Build a gate from the section ``gate`` of a config.

        Args:
            config: Thresholds by name; the others keep their defaults.

        Returns:
            The gate.

        Raises:
            ValueError: If a key is unknown or a threshold out of its range.
        """
        for key in config:
            if key not in _RULES:
                near = difflib.get_close_matches(str(key), _RULES, 1)
                hint = f', did you mean {near[0]!r}?' if near else ''
                raise ValueError(
                    f'gate has the unknown key {key!r}{hint}; allowed are '
                    f'{list(_RULES)}'
                )
        return cls(**config)

    def reasons(
        self, figures: Mapping[str, Any], unreadable: np.ndarray | None = None
    ) -> np.ndarray:
        """Judge crops.

        Args:
            figures: Columns of :data:`~s5_mm.curation.gate.quality.QUALITY_COLUMNS` by
                name, each (n,): arrays, or a table of the manifest.
            unreadable: bool, (n,), crops whose source cannot be decoded; their figures
                are not looked at.  None: there is none.

        Returns:
            str, (n,), one of :data:`REASONS` for each crop.

        Raises:
            ValueError: If a column is missing, has another length or is not a number
                where the crop can be read.
        """
        columns = _columns(figures)
        count = len(columns['padding'])
        lost = np.zeros(count, bool) if unreadable is None else np.asarray(unreadable)
        codes = np.where(lost, REASONS.index(UNREADABLE), 0).astype(np.int8)
        for name, rule in _RULES.items():
            threshold, values = getattr(self, name), columns[name]
            if values.shape != lost.shape:
                raise ValueError(
                    f'the figure {name!r} has shape {values.shape}, expected '
                    f'{lost.shape}'
                )
            if bad := int(np.isnan(values[~lost]).sum()):
                raise ValueError(
                    f'the figure {name!r} is no number for {bad} crops that can be read'
                )
            if threshold is None:
                continue
            # The figures are float32: compared in float64, 0.05 would exceed 0.05.
            limit = np.float32(threshold)
            refused = values < limit if rule.least else values > limit
            codes[refused & (codes == 0)] = REASONS.index(rule.reason)
        return np.array(REASONS)[codes]


def _columns(figures: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Take the figures from a table; a null becomes a NaN."""
    names = getattr(figures, 'column_names', None) or list(figures)
    if missing := [name for name in QUALITY_COLUMNS if name not in names]:
        raise ValueError(f'no figures {missing}, found {names}')
    return {
        name: np.asarray(figures[name], dtype=np.float32) for name in QUALITY_COLUMNS
    }
