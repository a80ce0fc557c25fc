"""Second pass of materialising: the spooled crops become shards."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from s5_mm.io.atomic import atomic_open
from s5_mm.io.crop_tables.parquet import ManifestError
from s5_mm.io.crop_tables.row_groups import read_group
from s5_mm.io.crop_tables.shard_table import member_name, shard_name
from s5_mm.io.images.source import TAR_BLOCK
from s5_mm.io.open_files import OpenFiles

from .shard_layout import MEMBERS_FILE, tar_layout
from .spool import spool_file


def tar_header(name: str, size: int) -> bytes:
    """Make the header of a member: ustar, without owner and time.

    Args:
        name: Its name.
        size: Its bytes.

    Returns:
        512 bytes.
    """
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, 0, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT)


@dataclass(frozen=True)
class ShardWriter:
    """Writes a shard from the spool; picklable.

    Attributes:
        spool: Folder of the spool, with the table of the members.
        folder: Folder of the shards.
        files: Opens spool files.
    """

    spool: Path
    folder: Path
    files: OpenFiles = field(default_factory=OpenFiles)

    def __call__(self, number: int) -> int:
        """Write a shard whole or not at all.

        Args:
            number: Its number.

        Returns:
            Number of its members.

        Raises:
            ManifestError: If a source has changed since the first pass, or the spool is
                damaged.
            OSError: If the disk is full.
        """
        table = read_group(self.spool / MEMBERS_FILE, number)
        rows = table.to_pylist()
        total = tar_layout(table['size'].to_numpy())[1]
        with atomic_open(self.folder / shard_name(number)) as file:
            for row in rows:
                name = member_name(row['crop_id'], row['format'])
                file.write(tar_header(name, row['size']))
                file.write(self._read(row))
                file.write(bytes(-row['size'] % TAR_BLOCK))
            file.write(bytes(total - file.tell()))
        return len(rows)

    def _read(self, row: dict) -> bytes:
        """Read a member from the spool, or its source where that is kept."""
        path, place = row['file'], 0
        if row['place'] >= 0:
            path, place = str(self.spool / spool_file(row['chunk'])), row['place']
        data = self.files.read(path, place, row['size'])
        if hashlib.sha256(data).digest() != row['sha256']:
            raise ManifestError(
                f'{path}: changed while the shards were made (crop '
                f'{row["crop_id"]:016x}); remove {self.spool} and start again'
            )
        return data


def unwritten_shards(folder: Path, num_bytes: Sequence[int]) -> list[int]:
    """Numbers of the shards that are not there yet.

    Args:
        folder: Their folder.
        num_bytes: Size of every shard.

    Returns:
        Ascending numbers.
    """
    missing = []
    for number, wanted in enumerate(num_bytes):
        path = folder / shard_name(number)
        if not path.exists() or path.stat().st_size != wanted:
            missing.append(number)
    return missing
