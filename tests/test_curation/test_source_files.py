"""Sources are found by number, without reading those of other row groups."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pytest

from s5_mm.curation.planning.collections import read_collections
from s5_mm.curation.planning.source_files import SourceFiles
from s5_mm.io.crop_tables.parquet import SOURCES, ManifestError, open_table, write_table
from s5_mm.io.crop_tables.run_names import SOURCES_FILE

COUNT, GROUP = 100, 7


@pytest.fixture
def plan(tmp_path):
    """A table of sources in small row groups."""
    rows = [
        dict(
            source=number,
            collection='ab'[number % 2],
            path=f'{number}.png',
            width=8,
            height=8,
            format='PNG',
            num_bytes=number,
            mtime_ns=10 * number,
            problem='',
        )
        for number in range(COUNT)
    ]
    table = pa.Table.from_pylist(rows, SOURCES)
    write_table(tmp_path / SOURCES_FILE, table, row_group_size=GROUP)
    assert open_table(tmp_path / SOURCES_FILE).num_row_groups == 15
    return tmp_path


def files(plan, names='ab') -> SourceFiles:
    """The sources with a root for each collection."""
    roots = {name: {'root': f'/images/{name}'} for name in names}
    return SourceFiles(plan, read_collections(roots))


@pytest.mark.parametrize('numbers', [[0], [99, 6, 7, 7, 50], range(COUNT), []])
def test_found_by_number(plan, numbers) -> None:
    found = files(plan).find(numbers)
    assert sorted(found) == sorted(set(numbers))
    for number, file in found.items():
        name = 'ab'[number % 2]
        assert file == (
            name,
            f'{number}.png',
            f'/images/{name}/{number}.png',
            number,
            10 * number,
        )


def test_pickles_without_the_sources(plan) -> None:
    assert len(pickle.dumps(files(plan))) < 500
    assert pickle.loads(pickle.dumps(files(plan))).find([3]) == files(plan).find([3])


def test_errors(plan) -> None:
    with pytest.raises(ManifestError, match='has 100 sources, a crop is of number 100'):
        files(plan).find([3, 100])
    with pytest.raises(ManifestError, match="collection 'b', the config has"):
        files(plan, 'a').find([0, 1])
    with pytest.raises(ManifestError, match="collection 'b', the config has"):
        files(plan, 'a').check_collections()
    assert files(plan, 'a').find([0, 2])
    with pytest.raises(ManifestError, match=r'\.png: the source has vanished'):
        files(plan).find([4])[4].check_unchanged()
