"""A million images in a thousand archives, by the index beside them.

Tar archives with WebDataset's names are read in order by any tool; here they are read
at random: the index says where every member is, and nothing is opened for a sample.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pyarrow.compute as pc

from s5_mm.io.images.source import ShardMember
from s5_mm.io.open_files import OpenFiles
from s5_mm.io.shared_table import SharedTable

from .parquet import read_table
from .run_names import INDEX_FILE

SHARDS_KEY = b's5_mm.shards'
"""Metadata of the index: JSON with ``num_bytes`` of every shard and ``options``."""

EXTENSIONS = {'PNG': 'png', 'JPEG': 'jpg', 'WEBP': 'webp'}
"""How the name of a member ends, by its format."""

_COLUMNS = ('crop_id', 'shard', 'offset', 'size', 'format')


def shard_name(number: int) -> str:
    """Name of a shard."""
    return f'shard-{number:06d}.tar'


def member_name(crop_id: int, kind: str) -> str:
    """Name of a member of a shard.

    Args:
        crop_id: Identifier of the crop.
        kind: A key of :data:`EXTENSIONS`.

    Returns:
        16 hexadecimal digits and the extension.
    """
    return f'{crop_id:016x}.{EXTENSIONS[kind]}'


class ShardTable:
    """The members of the shards of a folder, sorted by ``crop_id``.

    In that order a sample has the same number here and in the manifest that the shards
    were made from.

    Args:
        folder: The folder.
        rows: ``crop_id``, ``shard``, ``offset``, ``size`` and ``format``, a key of
            :data:`EXTENSIONS`.
    """

    def __init__(self, folder: str, rows: SharedTable) -> None:
        self.folder, self.rows = folder, rows
        self.files = OpenFiles()

    @classmethod
    def open(cls, folder: str) -> ShardTable:
        """Read the index of a folder.

        Args:
            folder: The folder.

        Returns:
            The table.

        Raises:
            FileNotFoundError: If there is no index, or a shard is missing.
            ValueError: If the index is damaged, of another version or empty, or a shard
                has another size than the index says.
        """
        path = os.path.join(folder, INDEX_FILE)
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f'{path}: the index of the shards does not exist; the folder is not '
                'complete, or holds no shards'
            )
        table = read_table(path, _COLUMNS)
        check_shards(folder, shards_record(path, table.schema.metadata)['num_bytes'])
        if not len(table):
            raise ValueError(f'{path}: the index has no rows')
        formats = pc.dictionary_encode(table['format'].cast('string'))
        found = set(pc.unique(formats).to_pylist())
        if not found <= EXTENSIONS.keys():
            raise ValueError(
                f'{path}: formats {sorted(found)}, allowed are {list(EXTENSIONS)}'
            )
        table = table.set_column(_COLUMNS.index('format'), 'format', formats)
        table = table.unify_dictionaries().replace_schema_metadata()
        return cls(folder, SharedTable(path, table.sort_by('crop_id')))

    @property
    def origin(self) -> str:
        """The index."""
        return self.rows.origin

    def __len__(self) -> int:
        return len(self.rows)

    def __reduce__(self) -> tuple:
        return ShardTable, (self.folder, self.rows)

    def __getitem__(self, index: int) -> str:
        return self.member(index).name

    def exists(self, index: int) -> bool:
        """Tell whether the archive of a member is there."""
        return os.path.exists(self.member(index).shard)

    def info(self, index: int) -> dict[str, Any]:
        """Return what a pipeline starts from.

        Args:
            index: Row.

        Returns:
            ``img_path``, a name for messages, and ``img_source``.
        """
        member = self.member(index)
        return {'img_path': member.name, 'img_source': member}

    def member(self, index: int) -> ShardMember:
        """Return a member.

        Args:
            index: Row.

        Returns:
            Where it is.
        """
        crop_id, shard, offset, size, kind = (
            self.rows[name][index].as_py() for name in _COLUMNS
        )
        return ShardMember(
            os.path.join(self.folder, shard_name(shard)),
            member_name(crop_id, kind),
            offset,
            size,
            self.files,
        )


def shards_record(path: str, metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    """Read what the metadata of an index says of its shards.

    Args:
        path: The index.
        metadata: Metadata of its schema.

    Returns:
        ``num_bytes``, a list with the size of every shard, and ``options``.

    Raises:
        ValueError: If the index has none.
    """
    try:
        return json.loads((metadata or {})[SHARDS_KEY])
    except (KeyError, ValueError) as error:
        raise ValueError(
            f'{path}: no index of shards (its metadata has no {SHARDS_KEY.decode()!r})'
        ) from error


def check_shards(folder: str, num_bytes: list[int]) -> None:
    """Refuse a folder whose shards are not those of its index.

    Args:
        folder: The folder.
        num_bytes: Size of every shard.

    Raises:
        FileNotFoundError: If shards are missing; the first is named.
        ValueError: If one has another size.
    """
    with os.scandir(folder) as entries:
        found = {
            entry.name: entry.stat().st_size
            for entry in entries
            if entry.name.endswith('.tar')
        }
    names = [shard_name(number) for number in range(len(num_bytes))]
    if missing := [name for name in names if name not in found]:
        raise FileNotFoundError(
            f'{folder}: {len(missing)} of {len(names)} shards are missing, the first '
            f'is {missing[0]}'
        )
    for name, wanted in zip(names, num_bytes, strict=True):
        if found[name] != wanted:
            raise ValueError(
                f'{os.path.join(folder, name)}: {found[name]} bytes, the index expects '
                f'{wanted}; the shard is torn, or the index is of another version'
            )
