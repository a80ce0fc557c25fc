"""Lists as arrays: the same names from folder, list and manifest, without objects."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s5_mm.io.path_table import PathTable

NAMES = ['b.png', 'a/ü x.JPG', 'a/c.tif', '/abs/d.png']


def resolved(root: Path) -> list[str]:
    return [os.path.join(root, name) for name in NAMES]


@pytest.mark.parametrize('end', ['\n', '\r\n', ' \t\n\n  \n'])
@pytest.mark.parametrize('last', ['', '\n'])
def test_list(end: str, last: str, tmp_path: Path) -> None:
    file = tmp_path / 'list.txt'
    file.write_bytes(b'\xef\xbb\xbf' + (end.join(NAMES) + last).encode())
    table = PathTable.from_list(str(file), str(tmp_path))
    assert list(table) == resolved(tmp_path)
    assert table[-1] == '/abs/d.png'
    assert table.name(1) == NAMES[1]
    with pytest.raises(IndexError):
        table[4]


def test_list_columns(tmp_path: Path) -> None:
    file = tmp_path / 'list.txt'
    file.write_text('  im/a.png mask/a.png\nim/b.png\nim/c.png\tmask/c.png x\n')
    assert list(PathTable.from_list(str(file), separator=' ')) == [
        'im/a.png',
        'im/b.png',
        'im/c.png\tmask/c.png',
    ]
    file.write_text('im/a b.png,0.3\nim/c.png , 1\n')
    table = PathTable.from_list(str(file), separator=',')
    assert list(table) == ['im/a b.png', 'im/c.png']


@pytest.mark.parametrize('kind', [pa.string(), pa.large_string(), 'dictionary'])
def test_manifest(kind: object, tmp_path: Path) -> None:
    column = pa.array(NAMES, pa.string())
    column = column.dictionary_encode() if kind == 'dictionary' else column.cast(kind)
    file = tmp_path / 'm.parquet'
    pq.write_table(
        pa.table({'path': column, 'score': np.arange(4)}), file, row_group_size=3
    )
    assert list(PathTable.from_manifest(str(file), root=str(tmp_path))) == resolved(
        tmp_path
    )


def test_folder_is_sorted_and_recursive(tmp_path: Path) -> None:
    for name in ('z.png', 'a/b/c.JPG', 'a/d.tif', 'note.txt', 'a/.x/e.jpeg'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'a' / 'loop').symlink_to(tmp_path)  # must not turn for ever
    table = PathTable.from_folder(str(tmp_path))
    names = [table.name(i) for i in range(len(table))]
    assert names == ['a/.x/e.jpeg', 'a/b/c.JPG', 'a/d.tif', 'z.png']
    assert table[0] == str(tmp_path / 'a/.x/e.jpeg')
    assert len(PathTable.from_folder(str(tmp_path), ['.TXT'])) == 1


def test_a_million_lines_make_no_objects(tmp_path: Path) -> None:
    file = tmp_path / 'list.txt'
    file.write_text(
        '\n'.join(f'unlabelled/part{i % 97}/{i:09d}.jpg' for i in range(10**6))
    )
    tracemalloc.start()
    table = PathTable.from_list(str(file), '/data')
    blocks = sum(s.count for s in tracemalloc.take_snapshot().statistics('filename'))
    tracemalloc.stop()
    assert len(table) == 10**6
    assert table[123456] == '/data/unlabelled/part72/000123456.jpg'
    assert blocks < 2000  # not one a line
    assert table._shared.table.nbytes < 55e6
    assert len(pickle.dumps(table)) < 1000
    assert copy.deepcopy(table) is table


def test_spawned_process_maps_the_same_bytes(tmp_path: Path) -> None:
    file = tmp_path / 'list.txt'
    file.write_text('\n'.join(NAMES))
    table = PathTable.from_list(str(file), 'root')
    (tmp_path / 'pickle').write_bytes(pickle.dumps(table))
    file.unlink()
    code = (
        'import pickle, sys;'
        f't = pickle.load(open({str(tmp_path / "pickle")!r}, "rb"));'
        'import pyarrow as pa; mapped = open("/proc/self/maps").read();'
        'assert t._shared.file in mapped and pa.total_allocated_bytes() == 0;'
        'sys.stdout.buffer.write("\\n".join(t).encode())'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, check=True)
    lines = out.stdout.decode().split('\n')
    assert lines[-len(NAMES) :] == list(table)
    assert list(table)[0] == 'root/b.png'  # the child did not take the file with it
    spilled = table._shared.file
    assert os.path.exists(spilled)
    del table
    assert not os.path.exists(spilled)
    with pytest.raises(FileNotFoundError, match=r'list\.txt has ended'):
        pickle.loads((tmp_path / 'pickle').read_bytes())


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='none: expected a folder.*missing'):
        PathTable.from_folder(str(tmp_path / 'none'))
    with pytest.raises(ValueError, match=r'no image in this folder.*\.jpg, \.jpeg'):
        PathTable.from_folder(str(tmp_path))
    file = tmp_path / 'a.txt'
    with pytest.raises(FileNotFoundError, match='a.txt: the list file does not exist'):
        PathTable.from_list(str(file))
    file.write_text(' \n\n')
    with pytest.raises(FileNotFoundError, match='it is a file'):
        PathTable.from_folder(str(file))
    with pytest.raises(ValueError, match='a.txt: the list is empty'):
        PathTable.from_list(str(file))
    file.write_bytes(b'')
    with pytest.raises(ValueError, match='a.txt: the list is empty'):
        PathTable.from_list(str(file))
    with pytest.raises(ValueError, match="separator='ab', expected one ASCII"):
        PathTable.from_list(str(file), separator='ab')
    file.write_text('text')
    with pytest.raises(ValueError, match='a.txt: not a Parquet file'):
        PathTable.from_manifest(str(file))
    with pytest.raises(FileNotFoundError, match='the manifest does not exist'):
        PathTable.from_manifest(str(tmp_path / 'none'))
    file = tmp_path / 'm.parquet'
    pq.write_table(pa.table({'path': ['a', None], 'boxes': [[1], [2]]}), file)
    with pytest.raises(ValueError, match=r"no column 'x', it has \['path', 'boxes'\]"):
        PathTable.from_manifest(str(file), 'x')
    with pytest.raises(ValueError, match="column 'path' has 1 nulls"):
        PathTable.from_manifest(str(file))
    with pytest.raises(ValueError, match="column 'boxes' is of type list"):
        PathTable.from_manifest(str(file), 'boxes')
    pq.write_table(pa.table({'path': pa.array([], pa.string())}), file)
    with pytest.raises(ValueError, match='the manifest has no rows'):
        PathTable.from_manifest(str(file))
