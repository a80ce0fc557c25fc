"""Crops that other tables speak of, found again in the manifest's one pass."""

from __future__ import annotations

import numpy as np

from .tally import Rows


class Watch:
    """Notes where some crops are in the manifest.

    Args:
        crop_ids: uint64, (n,), repetitions allowed.

    Attributes:
        crop_id: uint64, (m,), sorted and unique.
        row: int64, (m,), number of the row, -1 where the manifest has no such crop.
        collection: int64, (m,), number of the collection.
        decision: int64, (m,), index of the decision.
    """

    def __init__(self, crop_ids: np.ndarray) -> None:
        self.crop_id = np.unique(crop_ids.astype(np.uint64))
        self.row, self.collection, self.decision = (
            np.full(len(self.crop_id), -1, np.int64) for _ in range(3)
        )

    def add(self, rows: Rows, first: int) -> None:
        """Look for the crops in a batch.

        Args:
            rows: The batch.
            first: Number of its first row.
        """
        if not len(self.crop_id):
            return
        place = self.find(rows.crop_id)
        hit = np.flatnonzero(self.crop_id[place] == rows.crop_id)
        self.row[place[hit]] = first + hit
        self.collection[place[hit]] = rows.collection[hit]
        self.decision[place[hit]] = rows.decision[hit]

    def find(self, crop_ids: np.ndarray) -> np.ndarray:
        """Give the places of crops in the attributes, int64, (n,).

        Args:
            crop_ids: uint64, (n,); of a crop that is not watched any place is given.
        """
        place = np.searchsorted(self.crop_id, crop_ids)
        return np.minimum(place, len(self.crop_id) - 1)
