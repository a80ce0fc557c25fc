"""The manifest in batches, so that its length never matters for memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from s5_mm.io.crop_tables.parquet import ManifestError, open_table

BATCH_ROWS = 2**17
_BUFFER = 2**20  # bytes of a column
_REPEATED = ('collection', 'path', 'rejected', 'decision', 'reason')


def open_manifest(
    path: str | os.PathLike[str], columns: Sequence[str]
) -> pq.ParquetFile:
    """Open a table so that texts that repeat are read as codes.

    Args:
        path: The file.
        columns: Names of columns that are needed.

    Returns:
        The file; its columns are read a buffer after another, not a row group.

    Raises:
        ManifestError: As :func:`s5_mm.io.crop_tables.parquet.open_table`, or if a
            column is missing.
    """
    names = open_table(path).schema_arrow.names
    if missing := [name for name in columns if name not in names]:
        raise ManifestError(f'{path}: no column {missing}, it has {names}')
    repeated = [name for name in _REPEATED if name in names]
    return pq.ParquetFile(path, read_dictionary=repeated, buffer_size=_BUFFER)


def iterate(
    path: str | os.PathLike[str], columns: Sequence[str]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Read some columns of a table from its first row to its last.

    Args:
        path: The file.
        columns: Their names.

    Yields:
        Number of the first row, and at most 131,072 rows.

    Raises:
        ManifestError: See :func:`open_manifest`.
    """
    file = open_manifest(path, columns)
    first = 0
    for groups in _runs(file):
        if len(groups) > 1:
            # The rows of different row groups have dictionaries of their own.
            table = file.read_row_groups(groups, columns=list(columns))
            batches = table.unify_dictionaries().combine_chunks().to_batches()
        else:
            batches = file.iter_batches(
                BATCH_ROWS, row_groups=groups, columns=list(columns)
            )
        for batch in batches:
            yield first, batch
            first += len(batch)


def take_rows(
    path: str | os.PathLike[str], rows: np.ndarray, columns: Sequence[str]
) -> dict[int, dict]:
    """Read single rows, skipping the row groups that have none of them.

    Args:
        path: The file.
        rows: int64, numbers of the rows, any order.
        columns: Names of the columns.

    Returns:
        By number of the row its values by column.
    """
    file = open_manifest(path, columns)
    wanted = np.unique(rows)
    found: dict[int, dict[str, Any]] = {}
    first = 0
    for group in range(file.num_row_groups):
        stop = first + file.metadata.row_group(group).num_rows
        inside = wanted[(wanted >= first) & (wanted < stop)]
        if len(inside):
            batches = file.iter_batches(
                BATCH_ROWS, row_groups=[group], columns=list(columns)
            )
            start = first
            for batch in batches:
                own = inside[(inside >= start) & (inside < start + len(batch))]
                values = batch.take(pa.array(own - start)).to_pylist()
                found.update(zip(own.tolist(), values, strict=True))
                start += len(batch)
        first = stop
    return found


class Codes:
    """Numbers for texts, in the order in which they are met.

    Args:
        limit: Most texts that are told apart; all others share one number.
    """

    others = '(others)'

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """Give the number of a text."""
        if text not in self._numbers and len(self.names) >= self.limit - 1:
            text = self.others
        if text not in self._numbers:
            self._numbers[text] = len(self.names)
            self.names.append(text)
        return self._numbers[text]

    def encode(self, column: pa.Array) -> np.ndarray:
        """Give the numbers of a column.

        Args:
            column: Texts; null counts as ''.

        Returns:
            int64, (rows,).
        """
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        known = [self.number(text or '') for text in column.dictionary.to_pylist()]
        table = np.array([*known, self.number('')], np.int64)
        return table[
            column.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        ]


def _runs(file: pq.ParquetFile) -> Iterator[list[int]]:
    """Put row groups together that fit into a batch.

    A manifest has a row group for every part of the run, of some 4,096 rows, too few
    for steps that work on all histograms.  One iterator over all row groups, on the
    other hand, keeps 80 bytes a row until its end.
    """
    run: list[int] = []
    rows = 0
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if run and rows + count > BATCH_ROWS:
            yield run
            run, rows = [], 0
        run.append(group)
        rows += count
    if run:
        yield run
