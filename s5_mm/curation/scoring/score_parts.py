"""Tables of the stages that look at crops with a network: scores and features."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from s5_mm.io.atomic import atomic_open
from s5_mm.io.crop_tables.parquet import (
    ManifestError,
    Parts,
    open_table,
    read_table,
    scores_schema,
    write_table,
)

_SCORER_KEY = b's5_mm.scorer'


def feature_file(path: str | os.PathLike[str]) -> Path:
    """Name the file of the features beside a table of scores."""
    return Path(path).with_suffix('.npy')


def write_scores(
    path: str | os.PathLike[str],
    crop_ids: np.ndarray,
    passed: np.ndarray,
    scores: Mapping[str, np.ndarray],
    scorer: Mapping[str, Any],
) -> None:
    """Write the scores of a part; crops that the gate rejected get nulls.

    Args:
        path: The table.  Features go beside it, before it, so that a part that is there
            is complete.
        crop_ids: uint64, (n,), all crops of the part.
        passed: bool, (n,), those that were scored, m of them.
        scores: Columns of :func:`scores_schema`, (m,) or (m, K), missing ones null; and
            perhaps ``features``, (m, D) or (m, W, D) of W copies.
        scorer: What made the scores, JSON; kept in the table.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    scores = dict(scores)
    features = scores.pop('features', None)
    schema = scores_schema(scores['class_areas'].shape[1])
    columns = [pa.array(crop_ids)]
    for field in list(schema)[1:]:
        columns.append(_column(field.type, passed, scores.get(field.name)))
    if features is not None:
        table = np.zeros((len(crop_ids), *features.shape[1:]), np.float16)
        table[passed] = features
        with atomic_open(feature_file(path)) as file:
            np.save(file, table)
    text = json.dumps(scorer, sort_keys=True).encode()
    schema = schema.with_metadata({_SCORER_KEY: text})
    write_table(path, pa.table(columns, schema))


def read_scorer(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what made the scores of a part.

    Args:
        path: The table.

    Returns:
        The ``scorer`` of :func:`write_scores`.

    Raises:
        ManifestError: If the file is no such table.
    """
    metadata = open_table(path).schema_arrow.metadata
    if _SCORER_KEY not in metadata:
        raise ManifestError(f'{path}: no table of scores ({_SCORER_KEY.decode()!r})')
    return json.loads(metadata[_SCORER_KEY])


def check_scorer(folder: Path, scorer: Mapping[str, Any]) -> None:
    """Refuse to mix scores of two networks in a folder.

    Args:
        folder: Folder of tables, perhaps empty.
        scorer: What is going to make the others.

    Raises:
        ManifestError: If a part was made by something else; the first thing that
            differs is named.
    """
    for path in sorted(folder.glob('part-*.parquet')):
        found = read_scorer(path)
        for key in sorted({*found, *scorer}):
            if found.get(key) != scorer.get(key):
                raise ManifestError(
                    f'{path}: was scored with {key}={found.get(key)!r}, now it is '
                    f'{scorer.get(key)!r}; remove the folder to score everything again'
                )


def read_features(plan: Path, scored: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Gather the features of all crops of a plan.

    Args:
        plan: Folder of the plan.
        scored: Folder of its scores and features.

    Returns:
        ``crop_id``, uint64 (n,), and feature, float16 (n, D) or (n, W, D), of the crops
        that passed the gate; SHA-256 of the checkpoint they are of.

    Raises:
        ManifestError: If a part is missing, or has no features.
    """
    ids, features, checkpoint = [], [], ''
    for name in Parts(plan):
        table = read_table(scored / name, ['crop_id', 'entropy'])
        passed = table['entropy'].is_valid().to_numpy()
        path = feature_file(scored / name)
        try:
            rows = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ManifestError(
                f'{path}: no features ({error}); score with '
                'PatchScoringHook(features=True)'
            ) from error
        if rows.shape[:1] != passed.shape:
            raise ManifestError(
                f'{path}: {len(rows)} rows, the table has {len(passed)}'
            )
        ids.append(table['crop_id'].to_numpy()[passed])
        features.append(rows[passed])
        checkpoint = read_scorer(scored / name)['checkpoint']
    return np.concatenate(ids), np.concatenate(features), checkpoint


def _column(
    kind: pa.DataType, passed: np.ndarray, values: np.ndarray | None
) -> pa.Array:
    """Lay values over the rows that passed, nulls over the others."""
    if values is None:
        return pa.nulls(len(passed), kind)
    rejected = pa.array(~passed)
    if pa.types.is_fixed_size_list(kind):
        full = np.zeros((len(passed), values.shape[1]), np.float32)
        full[passed] = values
        flat = pa.array(full.ravel())
        return pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=rejected)
    full = np.zeros(len(passed), kind.to_pandas_dtype())
    full[passed] = values
    return pa.array(full, mask=~passed)
