"""The files that crops come from, by collection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from s5_mm.io.crop_tables.run_names import SOURCES_FILE

from .table_batches import Codes, iterate

_MAX_PROBLEMS = 50
_COLUMNS = ('collection', 'path', 'width', 'height', 'num_bytes', 'problem')


def count_sources(folder: Path) -> dict[str, Any]:
    """Count the files of every collection.

    Args:
        folder: The work directory.

    Returns:
        ``collections``, by name ``files``, ``unreadable``, ``bytes`` and ``pixels``;
        and ``problems``, the first files that cannot be read with ``collection``,
        ``path`` and ``problem``.
    """
    path = folder / 'plan' / SOURCES_FILE
    codes = Codes(1024)
    totals = {
        name: np.zeros(codes.limit, np.int64)
        for name in ('files', 'unreadable', 'bytes', 'pixels')
    }
    problems: list[dict[str, str]] = []
    for _, batch in iterate(path, _COLUMNS):
        collection = codes.encode(batch['collection'])
        bad = pc.not_equal(batch['problem'], '').to_numpy(zero_copy_only=False)
        sides = (
            batch[name].to_numpy().astype(np.int64) for name in ('width', 'height')
        )
        np.add.at(totals['files'], collection, 1)
        np.add.at(totals['unreadable'], collection, bad)
        np.add.at(totals['bytes'], collection, batch['num_bytes'].to_numpy())
        np.add.at(totals['pixels'], collection, np.multiply(*sides))
        first = np.flatnonzero(bad)[: _MAX_PROBLEMS - len(problems)]
        problems += (
            batch.select(['collection', 'path', 'problem']).take(first).to_pylist()
        )
    found = {
        name: {key: int(total[number]) for key, total in totals.items()}
        for number, name in enumerate(codes.names)
        if totals['files'][number]
    }
    return {'collections': dict(sorted(found.items())), 'problems': problems}
