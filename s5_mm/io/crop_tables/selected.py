"""The rows of a manifest that were selected."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .parquet import ManifestError, open_table
from .run_names import SELECTED

WINDOW = ('x', 'y', 'width', 'height')
_NEEDED = ('crop_id', 'collection', 'path', *WINDOW)


def read_selected(
    manifest: str | os.PathLike[str],
    roots: Mapping[str, str] | None = None,
    root: str = '',
    columns: Sequence[str] = (),
) -> pa.Table:
    """Read the crops with the decision ``selected``.

    Args:
        manifest: The manifest of a run, or a part of its rows.
        roots: By the name of a collection, the folder its paths are relative to; None:
            ``root`` for all of them.
        root: Folder that ``roots`` are relative to.
        columns: Further columns to read.

    Returns:
        In the order of the manifest: ``crop_id`` uint64; ``file``, a dictionary of the
        files' paths; ``x``, ``y``, ``width`` and ``height`` int32; ``columns``.

    Raises:
        ManifestError: If the manifest is missing, damaged, of another version or lacks
            a column, nothing is selected, two rows have the same identifier, a value is
            null, or a collection has no root.
    """
    file = open_table(manifest)
    wanted = [*_NEEDED, *columns, 'decision']
    names = file.schema_arrow.names
    if missing := [name for name in wanted if name not in names]:
        raise ManifestError(f'{manifest}: no column {missing}, it has {names}')
    try:
        # A row group at a time: of 50 million crops only the selected ones are kept.
        groups = [
            _selected(file.read_row_group(number, wanted))
            for number in range(file.num_row_groups)
        ]
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f'{manifest}: damaged ({error})') from error
    groups = [group for group in groups if len(group)]
    if not groups:
        raise ManifestError(
            f"{manifest}: no row has the decision 'selected' among "
            f'{file.metadata.num_rows}'
        )
    table = pa.concat_tables(groups).combine_chunks()
    for name in table.column_names:
        if count := table[name].null_count:
            raise ManifestError(f'{manifest}: {name} of {count} selected rows is null')
    ids = np.sort(table['crop_id'].to_numpy())
    if (twice := ids[1:][ids[1:] == ids[:-1]]).size:
        raise ManifestError(
            f'{manifest}: the crop {twice[0]:016x} is selected twice; expected every '
            'crop_id once'
        )
    files = _files(table, roots, root, manifest)
    kept = table.select(['crop_id', *WINDOW, *columns])
    return kept.append_column('file', files)


def windows_of(table: pa.Table) -> np.ndarray:
    """Windows of crops, int32, (n, 4): x, y, width, height."""
    return np.stack([table[name].to_numpy() for name in WINDOW], 1).astype(np.int32)


def _selected(table: pa.Table) -> pa.Table:
    """Keep the selected rows of a row group; its dictionaries become plain text."""
    mask = pc.equal(table['decision'].cast(pa.string()), SELECTED)
    table = table.drop_columns('decision').filter(mask)
    place = table.column_names.index('collection')
    return table.set_column(place, 'collection', table['collection'].cast(pa.string()))


def _files(
    table: pa.Table,
    roots: Mapping[str, str] | None,
    root: str,
    manifest: str | os.PathLike[str],
) -> pa.DictionaryArray:
    """Join the folders of the collections and the paths."""
    codes = pc.dictionary_encode(table['collection']).combine_chunks()
    if isinstance(codes, pa.ChunkedArray):
        codes = codes.chunk(0)
    folders = []
    for name in codes.dictionary.to_pylist():
        if roots is not None and name not in roots:
            raise ManifestError(
                f'{manifest}: has crops of the collection {name!r}, roots has '
                f'{sorted(roots)}'
            )
        folder = os.path.join(root, roots[name] if roots is not None else '')
        folders.append(os.path.join(folder, '') if folder else '')
    joined = pc.binary_join_element_wise(
        pc.take(pa.array(folders), codes.indices), table['path'], ''
    )
    # A list of images may name files anywhere.
    absolute = pc.starts_with(table['path'], os.sep)
    files = pc.dictionary_encode(pc.if_else(absolute, table['path'], joined))
    return (
        pa.chunked_array(files).combine_chunks()
        if files.num_chunks != 1
        else (files.chunk(0))
    )
