"""What must hold in every curation run, checked against the manifest itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .tally import SELECTED_CODE, Key, Rows


class CutCheck:
    """Counts selected crops beyond the cut of their cluster.

    Args:
        cuts: float32, (M,), NaN where there is none.

    Attributes:
        beyond: How many there are.
    """

    def __init__(self, cuts: np.ndarray) -> None:
        self._cuts = cuts
        self.beyond = 0

    def add(self, rows: Rows) -> None:
        """Count in a batch."""
        known = (rows.cluster >= 0) & (rows.cluster < len(self._cuts))
        known &= rows.decision == SELECTED_CODE
        cut = self._cuts[rows.cluster[known]]
        self.beyond += int((rows.entropy[known] > cut).sum())


def find_problems(
    counts: Mapping[Key, int],
    clusters: Sequence[Mapping[str, Any]],
    leaks: Sequence[Mapping[str, Any]],
    not_finite: int,
    beyond_cut: int,
) -> list[str]:
    """Say in sentences what does not hold.

    Args:
        counts: Crops by kind.
        clusters: Rows of :func:`s5_mm.curation.report.summary.clusters`.
        leaks: Rows of :meth:`s5_mm.curation.report.leakage_tables.Matches.table`.
        not_finite: Scored crops whose entropy is no number.
        beyond_cut: Selected crops beyond the cut of their cluster.

    Returns:
        The problems; none in a run that is as it should be.
    """
    found = []
    chosen = {key: n for key, n in counts.items() if key.decision == 'selected'}
    for count, what in (
        (sum(n for key, n in chosen.items() if not key.scored), 'have no entropy'),
        (beyond_cut, 'have an entropy above the cut of their cluster'),
        (
            sum(cell['selected'] for cell in leaks if cell['verdict'] == 'drop'),
            'match an evaluation image that the check says to drop',
        ),
    ):
        if count:
            found.append(f'{count:,} selected crops {what}.')
    if not_finite:
        found.append(f'{not_finite:,} scored crops have an entropy that is no number.')
    for row in clusters:
        if row['selected'] > row['filled']:
            found.append(
                f'Cluster {row["cluster"]}: {row["selected"]:,} crops are selected in '
                f'the manifest, the quotas say {row["filled"]:,}.'
            )
    return found
