"""Tables are whole, versioned, deterministic and named in every error."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s5_mm.io.crop_tables import parquet
from s5_mm.io.crop_tables.parquet import (
    CROPS,
    ManifestError,
    Parts,
    open_table,
    part_name,
    read_table,
    scores_schema,
    write_table,
)


def crops(start: int, count: int) -> pa.Table:
    """Rows of a plan."""
    numbers = np.arange(start, start + count)
    columns = [
        pa.array(numbers.astype(f.type.to_pandas_dtype()), f.type) for f in CROPS
    ]
    return pa.table(columns, CROPS)


def test_round_trip_and_bytes(tmp_path) -> None:
    table = crops(0, 1000)
    for name in ('a', 'b'):
        write_table(tmp_path / name, table)
    assert read_table(tmp_path / 'a').equals(table)
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()
    assert read_table(tmp_path / 'a', ['x', 'crop_id']).column_names == ['x', 'crop_id']


def test_a_table_is_opened_without_its_rows(tmp_path) -> None:
    write_table(tmp_path / 'a', crops(0, 100_000))
    before = pa.total_allocated_bytes()
    file = open_table(tmp_path / 'a')
    assert file.metadata.num_rows == 100_000
    assert pa.total_allocated_bytes() - before < 100_000


def test_scores_fit_their_classes() -> None:
    assert scores_schema(7).field('class_areas').type.list_size == 7


def test_parts_are_listed_in_order(tmp_path) -> None:
    for number, count in enumerate((3, 5)):
        write_table(tmp_path / part_name(number), crops(0, count))
    parts = Parts(tmp_path)
    assert list(parts) == ['part-000000.parquet', 'part-000001.parquet']
    assert (len(parts), parts.num_rows()) == (2, [3, 5])


def test_errors_name_the_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / 'a.parquet'
    with pytest.raises(ManifestError, match=r'a\.parquet: the table does not exist'):
        open_table(path)
    path.write_bytes(b'PAR1 torn')
    with pytest.raises(ManifestError, match=r'a\.parquet: no Parquet file, or a torn'):
        open_table(path)
    pq.write_table(crops(0, 3), path)
    with pytest.raises(ManifestError, match=r'a\.parquet: no table of s5_mm'):
        open_table(path)
    monkeypatch.setattr(parquet, 'MANIFEST_VERSION', '0')
    write_table(path, crops(0, 3))
    monkeypatch.undo()
    with pytest.raises(ManifestError, match=r"is '0', this code reads '1'"):
        read_table(path)
    write_table(path, crops(0, 3))
    with pytest.raises(ManifestError, match=r"no column \['entropy'\], it has \["):
        read_table(path, ['x', 'entropy'])


def test_damaged_rows_are_an_error(tmp_path) -> None:
    path = tmp_path / 'a.parquet'
    write_table(path, crops(0, 10_000))
    data = bytearray(path.read_bytes())
    data[8:2000] = bytes(1992)
    path.write_bytes(data)
    with pytest.raises(ManifestError, match=r'a\.parquet: damaged'):
        read_table(path)


def test_missing_parts_are_an_error(tmp_path) -> None:
    with pytest.raises(ManifestError, match='plan first'):
        Parts(tmp_path)
    for number in (0, 2):
        write_table(tmp_path / part_name(number), crops(0, 1))
    with pytest.raises(ManifestError, match='a part is missing'):
        Parts(tmp_path)


def test_a_full_disk_keeps_the_old_table(tmp_path, monkeypatch) -> None:
    path = tmp_path / 'a.parquet'
    write_table(path, crops(0, 3))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(parquet.pq, 'write_table', full)
    with pytest.raises(OSError, match='No space left'):
        write_table(path, crops(0, 5))
    assert open_table(path).metadata.num_rows == 3
    assert [file.name for file in tmp_path.iterdir()] == ['a.parquet']
