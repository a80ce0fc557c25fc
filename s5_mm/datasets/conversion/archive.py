"""What was downloaded: folders and zip archives, read as one tree of files.

Members of an archive are data: they are decoded where they are, their names are
compared with patterns and never become a path on this disk without being checked.  So
nothing has to be unpacked first, and an archive that is unpacked reads the same.

``zipfile`` is used directly: fsspec's ``ZipFileSystem`` takes twice the memory for the
directory of an archive (73 and 36 MB for 50,000 members, fsspec 2026.9), forked workers
would share the position of its open file or each read the directory again, and it lists
a member with an absolute name but cannot open it.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

_PACKED = ('.tar', '.gz', '.tgz', '.bz2', '.xz', '.7z', '.rar', '.z01', '.001')
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
_SHOWN = 12
_opened: dict[tuple[str, int], tuple[int, zipfile.ZipFile]] = {}


class LayoutError(ValueError):
    """A source or a destination is not what the command can work with."""


class SourceError(ValueError):
    """A file of the source cannot be used; the message names it."""


class SourceFile(NamedTuple):
    """A file of the source, on the disk or in an archive.

    Attributes:
        name: Path below the source with ``/``; an archive counts as a folder.
        path: The file on the disk, or the archive.
        member: Name in the archive; None for a file on the disk.
    """

    name: str
    path: str
    member: str | None = None

    def read(self, limit: int = -1) -> bytes:
        """Read it.

        Args:
            limit: Bytes to read at most; -1 for all of it.

        Returns:
            Its bytes.

        Raises:
            SourceError: If it is damaged, encrypted or gone.
        """
        with self._open() as file:
            return file.read(limit)

    @contextmanager
    def on_disk(self, scratch: Path) -> Iterator[str]:
        """Give it a path, for libraries that read nothing else.

        Args:
            scratch: Folder for the copy of a member, which is removed again.

        Yields:
            The path; its suffix is that of the file.

        Raises:
            SourceError: If it is damaged, encrypted or gone.
        """
        if self.member is None:
            yield self.path
            return
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            copy = os.path.join(folder, os.path.basename(self.member))
            with self._open() as file, open(copy, 'wb') as opened:
                shutil.copyfileobj(file, opened, 2**20)
            yield copy

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """Open it for reading."""
        try:
            if self.member is None:
                with open(self.path, 'rb') as file:
                    yield file
            else:
                with _archive(self.path).open(self.member) as file:
                    yield file
        except (*_BROKEN, FileNotFoundError) as error:
            raise SourceError(f'{self.name}: it cannot be read ({error})') from error


class SourceTree:
    """All files below a folder, those in zip archives included, sorted by name.

    Args:
        root: The folder, or a single archive.
        exclude: Folder that does not count, such as a destination inside ``root``.

    Raises:
        LayoutError: If there is no such folder, an archive is damaged, or a member's
            name leads out of its archive.
    """

    def __init__(self, root: str | os.PathLike[str], exclude: Path | None = None):
        self.root = str(root)
        if not os.path.exists(self.root):
            raise LayoutError(f'{root}: there is no such folder or archive')
        self.files: list[SourceFile] = []
        for path in self._on_disk(exclude):
            name = os.path.relpath(path, self.root).replace(os.sep, '/')
            name = os.path.basename(self.root) if name == '.' else name
            if name.lower().endswith('.zip'):
                self.files += _members(name, path)
            else:
                self.files.append(SourceFile(name, path))
        self.files.sort(key=lambda file: file.name)

    def find(self, pattern: str) -> list[tuple[re.Match[str], SourceFile]]:
        """Look for files by their whole names, whatever the case.

        Args:
            pattern: Regular expression; it may start anywhere at a ``/`` but has to
                reach to the end.

        Returns:
            Matches and files, sorted by name.
        """
        compiled = re.compile(rf'(?:.*/)?{pattern}', re.IGNORECASE)
        found = ((compiled.fullmatch(file.name), file) for file in self.files)
        return [(match, file) for match, file in found if match]

    def find_unique(self, pattern: str) -> dict[tuple[str, ...], SourceFile]:
        """Look for files of which each is there once.

        Args:
            pattern: See :meth:`find`; its groups tell the files apart.

        Returns:
            Groups -> file, in the order of the files.

        Raises:
            LayoutError: If two files have the same groups.
        """
        found: dict[tuple[str, ...], SourceFile] = {}
        for match, file in self.find(pattern):
            other = found.setdefault(match.groups(), file)
            if other is not file:
                raise LayoutError(
                    f'{self.root}: both {other.name} and {file.name} are '
                    f'{" ".join(match.groups())}, expected it once; is it there packed '
                    'and unpacked?'
                )
        return found

    def summary(self) -> str:
        """Say what is there, for messages.

        Returns:
            Folders and archives of the top with the kinds and numbers of their files.
        """
        groups: dict[str, Counter[str]] = {}
        for file in self.files:
            top, slash, _ = file.name.partition('/')
            suffix = os.path.splitext(file.name)[1].lower() or 'without suffix'
            groups.setdefault(top if slash else '.', Counter())[suffix] += 1
        lines = [
            f'{top}: ' + ', '.join(f'{n:,} {kind}' for kind, n in kinds.most_common(4))
            for top, kinds in sorted(groups.items())
        ]
        more = ['...'] if len(lines) > _SHOWN else []
        packed = [
            file.name for file in self.files if file.name.lower().endswith(_nested())
        ]
        if packed:
            more.append(
                f'unpack first: {", ".join(packed[:5])}{", ..." * (len(packed) > 5)}'
            )
        return '\n    '.join([*lines[:_SHOWN], *more] or ['nothing'])

    def _on_disk(self, exclude: Path | None) -> Iterator[str]:
        """Yield the files of the folder."""
        if os.path.isfile(self.root):
            yield self.root
            return
        left_out = exclude and os.path.realpath(exclude)
        for folder, folders, files in os.walk(self.root, followlinks=True):
            folders[:] = sorted(
                name
                for name in folders
                if not _hidden(name)
                and os.path.realpath(os.path.join(folder, name)) != left_out
            )
            yield from (
                os.path.join(folder, name) for name in files if not _hidden(name)
            )


def _members(name: str, path: str) -> Iterator[SourceFile]:
    """Yield the files of an archive."""
    try:
        infos = _archive(path).infolist()
    except (*_BROKEN, OSError) as error:
        raise LayoutError(
            f'{path}: this archive cannot be opened ({error}); parts of a split one '
            'have to be joined, and a broken download repeated'
        ) from error
    for info in infos:
        if info.is_dir():
            continue
        parts = info.filename.replace('\\', '/').split('/')
        if '..' in parts or parts[0] == '' or ':' in parts[0]:
            raise LayoutError(
                f'{path}: member {info.filename!r} leads out of the archive, expected '
                'relative names only'
            )
        if not any(map(_hidden, parts)):
            yield SourceFile('/'.join([name, *parts]), path, info.filename)


def _hidden(name: str) -> bool:
    """Tell the leftovers of desktops from data."""
    return name.startswith('.') or name == '__MACOSX'


def _nested() -> tuple[str, ...]:
    """Endings of archives that are not looked into."""
    return ('.zip', *_PACKED)


def _archive(path: str) -> zipfile.ZipFile:
    """Open an archive once a process.

    A forked one shares the directory of the archive, which for a million members is
    half a gigabyte, but not the open file, whose position would be shared too.
    """
    key = path, os.stat(path).st_mtime_ns
    process, archive = _opened.get(key, (0, None))
    if archive is None:
        archive = zipfile.ZipFile(path)
    elif process != os.getpid():
        archive = copy.copy(archive)
        archive.fp = open(path, 'rb')  # noqa: SIM115, closed with the archive
    _opened[key] = os.getpid(), archive
    return archive
