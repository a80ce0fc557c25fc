"""A long list of files as three arrays instead of a million Python objects.

A list of 1,000,000 strings is 1,000,000 objects whose reference counts are written
at each access, so every forked worker ends up with its own copy of all of them
(mmdet #7786, #6931: worker memory grows).  Arrays are never written: forked workers
share them, and spawned ones map a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .images.header import is_address
from .shared_arrays import SharedArrays

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff')
"""Suffixes of the files taken from a folder, compared without case."""

_NEWLINE, _BLANKS = 10, (9, 13, 32)


class PathTable(Sequence[str]):
    """An immutable sequence of file names.

    Build it with :meth:`from_folder`, :meth:`from_list` or :meth:`from_manifest`.

    Args:
        blob: uint8, shape (B,): names in the encoding of the file system.
        starts: int64, shape (N,): first byte of each name in ``blob``.
        ends: int64, shape (N,): byte after the last one.
        root: Folder that relative names are in.
        origin: What the table was read from, for messages.
    """

    def __init__(
        self,
        blob: np.ndarray,
        starts: np.ndarray,
        ends: np.ndarray,
        root: str = '',
        origin: str = '',
    ) -> None:
        self.blob, self.starts, self.ends = blob, starts, ends
        self.root, self.origin = root, origin
        self._arrays = SharedArrays(origin, blob=blob, starts=starts, ends=ends)

    @classmethod
    def from_folder(
        cls, folder: str, suffixes: Sequence[str] = IMAGE_SUFFIXES
    ) -> PathTable:
        """List a folder and its sub-folders, sorted by name.

        Args:
            folder: The folder; links are followed, once each.
            suffixes: Endings of the names that count, compared without case.

        Returns:
            The table; its root is the folder.

        Raises:
            FileNotFoundError: If there is no such folder.
            ValueError: If it holds no such file.
        """
        wanted = tuple(suffix.lower() for suffix in suffixes)
        names = sorted(_walk(folder, wanted))
        if not names:
            raise ValueError(
                f'{folder}: no image in this folder or below, expected files ending '
                f'in {", ".join(wanted)}'
            )
        encoded = [os.fsencode(name) for name in names]
        ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        blob = np.frombuffer(b''.join(encoded), np.uint8)
        return cls(blob, starts, ends, folder, folder)

    @classmethod
    def from_list(
        cls, list_file: str, root: str = '', separator: str | None = None
    ) -> PathTable:
        """Read a text file with one name a line.

        Blanks around a name and empty lines do not count.

        Args:
            list_file: The file.
            root: Folder that relative names are in.
            separator: One ASCII character (``' '``, ``','``, ...): the name ends
                where it first occurs, so further columns are ignored.  None: the
                whole line is the name, which may then hold spaces.

        Returns:
            The table, in the order of the file.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it names nothing.
        """
        if separator is not None and (len(separator) != 1 or ord(separator) > 127):
            raise ValueError(
                f'separator={separator!r}, expected one ASCII character or None'
            )
        if not os.path.isfile(list_file):
            raise FileNotFoundError(f'{list_file}: the list file does not exist')
        blob = np.fromfile(list_file, np.uint8)
        breaks = np.flatnonzero(blob == _NEWLINE)
        starts = np.concatenate([[0], breaks + 1]).astype(np.int64)
        ends = np.concatenate([breaks, [blob.size]]).astype(np.int64)
        if blob[:3].tobytes() == b'\xef\xbb\xbf':  # byte order mark
            starts[0] = 3
        starts, ends = _strip(blob, starts, ends)
        if separator is not None:
            cuts = np.append(np.flatnonzero(blob == ord(separator)), blob.size)
            ends = np.minimum(ends, cuts[np.searchsorted(cuts, starts)])
            starts, ends = _strip(blob, starts, ends)
        if not starts.size:
            raise ValueError(
                f'{list_file}: the list is empty, expected one image a line'
            )
        return cls(blob, starts, ends, root, list_file)

    @classmethod
    def from_manifest(
        cls, manifest: str, column: str = 'path', root: str = ''
    ) -> PathTable:
        """Read a column of a Parquet file.

        Args:
            manifest: The file.
            column: Name of the column with the file names.
            root: Folder that relative names are in.

        Returns:
            The table, in the order of the rows.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no Parquet file, the column is missing, is not of
                text, or holds a null or nothing at all.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not os.path.isfile(manifest):
            raise FileNotFoundError(f'{manifest}: the manifest does not exist')
        try:
            file = pq.ParquetFile(manifest, memory_map=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f'{manifest}: not a Parquet file ({error})') from error
        names = file.schema_arrow.names
        if column not in names:
            raise ValueError(f'{manifest}: no column {column!r}, it has {names}')
        table = file.read(columns=[column])
        try:
            values = table[column].cast(pa.large_string()).combine_chunks()
        except pa.ArrowException as error:
            raise ValueError(
                f'{manifest}: column {column!r} is of type '
                f'{table[column].type}, expected text'
            ) from error
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks or [pa.array([], values.type)])
        if values.null_count:
            raise ValueError(
                f'{manifest}: column {column!r} has {values.null_count} nulls, '
                'expected a file name in each row'
            )
        if not len(values):
            raise ValueError(f'{manifest}: the manifest has no rows')
        return cls.from_strings(values, root, manifest)

    @classmethod
    def from_strings(cls, values: Any, root: str = '', origin: str = '') -> PathTable:
        """Take the values of an Arrow array, without copying them.

        Args:
            values: ``pyarrow`` array of text, without nulls, not empty.
            root: Folder that relative names are in.
            origin: What the table was read from, for messages.

        Returns:
            The table.
        """
        import pyarrow as pa

        values = values.cast(pa.large_string())
        _, offsets, data = values.buffers()
        bounds = np.frombuffer(offsets, np.int64)
        bounds = bounds[values.offset : values.offset + len(values) + 1]
        blob = np.frombuffer(data, np.uint8)
        return cls(blob, bounds[:-1], bounds[1:], root, origin)

    def __len__(self) -> int:
        return len(self.starts)

    def name(self, index: int) -> str:
        """Give a name as it is listed, without the root.

        Args:
            index: Row, negative ones count from the end.

        Returns:
            The name.
        """
        return os.fsdecode(self.blob[self.starts[index] : self.ends[index]].tobytes())

    def info(self, index: int) -> dict[str, str]:
        """Say what a pipeline starts from.

        Args:
            index: Row.

        Returns:
            ``img_path``.
        """
        return {'img_path': self[index]}

    def exists(self, index: int) -> bool:
        """Tell whether a file is there; an address is taken to lead somewhere."""
        return is_address(self.name(index)) or os.path.exists(self[index])

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        name = self.name(index)
        return name if is_address(name) else os.path.join(self.root, name)

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))

    def __deepcopy__(self, memo: dict) -> PathTable:
        return self  # nothing in it ever changes

    def __reduce__(self) -> tuple:
        return PathTable._from_arrays, (self._arrays, self.root)

    @classmethod
    def _from_arrays(cls, arrays: SharedArrays, root: str) -> PathTable:
        """Open a table that another process wrote aside."""
        names = (arrays[key] for key in ('blob', 'starts', 'ends'))
        table = cls(*names, root, arrays.origin)
        table._arrays = arrays
        return table


def _strip(
    blob: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Take blanks off both ends of every span and drop the empty ones."""
    while True:
        keep = ends > starts
        starts, ends = starts[keep], ends[keep]
        head = np.isin(blob[starts], _BLANKS)
        tail = np.isin(blob[ends - 1], _BLANKS)
        if not head.any() and not tail.any():
            return starts, ends
        starts, ends = starts + head, np.maximum(ends - tail, starts + head)


def _walk(folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the files below a folder, relative to it."""
    if not os.path.isdir(folder):
        kind = 'a file' if os.path.exists(folder) else 'missing'
        raise FileNotFoundError(f'{folder}: expected a folder of images, it is {kind}')
    pending, seen = [''], set()
    while pending:
        below = pending.pop()
        status = os.stat(os.path.join(folder, below))
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(os.path.join(folder, below)) as entries:
            for entry in entries:
                name = os.path.join(below, entry.name)
                if entry.is_dir():
                    pending.append(name)
                elif name.lower().endswith(suffixes):
                    yield name
