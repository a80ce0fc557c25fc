"""A long list of files as an Arrow array instead of a million Python objects.

A list of 1,000,000 strings is 1,000,000 objects whose reference counts are written
at each access, so every forked worker ends up with its own copy of all of them
(mmdet #7786, #6931: worker memory grows).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .images.header import is_address
from .shared_table import SharedTable

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff')
"""Suffixes of the files taken from a folder, compared without case."""

_BYTE_ORDER_MARK = b'\xef\xbb\xbf'


class PathTable(Sequence[str]):
    """An immutable sequence of file names.

    Build it with :meth:`from_folder`, :meth:`from_list` or :meth:`from_manifest`.

    Args:
        names: Arrow array of binary or text in the encoding of the file system, without
            nulls, not empty.
        root: Folder that relative names are in.
        origin: What the table was read from, for messages.
    """

    def __init__(self, names: pa.Array, root: str = '', origin: str = '') -> None:
        names = names.cast(pa.large_binary())
        self._open(SharedTable(origin, pa.table({'name': names})), root)

    def _open(self, shared: SharedTable, root: str) -> None:
        """Take the names of a table that is open."""
        self._shared, self._names = shared, shared['name']
        self.root, self.origin = root, shared.origin

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
        encoded = pa.array(map(os.fsencode, names), pa.large_binary())
        return cls(encoded, folder, folder)

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
        with open(list_file, 'rb') as file:
            text = file.read().removeprefix(_BYTE_ORDER_MARK)
        lines = pc.split_pattern(pa.array([text], pa.large_binary()), '\n')
        names = _strip(lines.values.view(pa.large_string()))
        if separator is not None:
            cut = pc.split_pattern(names, separator, max_splits=1)
            names = _strip(pc.list_element(cut, 0))
        if not len(names):
            raise ValueError(
                f'{list_file}: the list is empty, expected one image a line'
            )
        return cls(names.view(pa.large_binary()), root, list_file)

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
            values = table[column].cast(pa.large_string())
        except pa.ArrowException as error:
            raise ValueError(
                f'{manifest}: column {column!r} is of type '
                f'{table[column].type}, expected text'
            ) from error
        if values.null_count:
            raise ValueError(
                f'{manifest}: column {column!r} has {values.null_count} nulls, '
                'expected a file name in each row'
            )
        if not len(values):
            raise ValueError(f'{manifest}: the manifest has no rows')
        return cls(pa.concat_arrays(values.chunks), root, manifest)

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """Return a name as it is listed, without the root.

        Args:
            index: Row, negative ones count from the end.

        Returns:
            The name.
        """
        return os.fsdecode(self._names[index].as_py())

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
        return PathTable._map, (self._shared, self.root)

    @classmethod
    def _map(cls, shared: SharedTable, root: str) -> PathTable:
        """Open a table that another process wrote aside."""
        table = cls.__new__(cls)
        table._open(shared, root)
        return table


def _strip(names: pa.Array) -> pa.Array:
    """Take blanks off both ends of every name and drop the empty ones."""
    names = pc.ascii_trim(names, ' \t\r')
    return names.filter(pc.greater(pc.binary_length(names), 0))


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
