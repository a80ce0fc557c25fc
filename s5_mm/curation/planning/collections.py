"""What a curation run draws from: named collections of images."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from s5_mm.io.path_table import PathTable
from s5_mm.utils.argument_checks import check_number

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]*')


@dataclass(frozen=True)
class Collection:
    """A folder, or a list, of images of one kind.

    Attributes:
        name: How configs, tables and the report call it.
        root: Folder that the names of its images are relative to.
        folder: Folder below ``root`` whose images are taken, sub-folders included.
        list_file: Text file below ``root`` with one image a line, instead.
        separator: Character that ends the name in a line of ``list_file``.
        stride: Pixels between two crops; None takes the run's.
        max_crops: Most crops of one image, chosen by a hash; None takes the run's.

    Raises:
        ValueError: If a value is not one of the allowed ones.
    """

    name: str
    root: str
    folder: str | None = None
    list_file: str | None = None
    separator: str | None = None
    stride: int | None = None
    max_crops: int | None = None

    def __post_init__(self) -> None:
        where = f'collections[{self.name!r}]'
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f'{where}: a name is letters, digits, "_", "-" and ".", got '
                f'{self.name!r}'
            )
        if self.folder is not None and self.list_file is not None:
            raise ValueError(f'{where}: folder and list_file exclude each other')
        for key in ('stride', 'max_crops'):
            value = getattr(self, key)
            if value is not None:
                check_number(f'{where}: {key}', value, 1, whole=True)

    def arguments(self) -> dict[str, Any]:
        """Its arguments but for the name, as in a config."""
        return {key: value for key, value in vars(self).items() if key != 'name'}

    def drawn(self) -> dict[str, Any]:
        """What decides its images and crops; where they lie does not."""
        return {k: v for k, v in self.arguments().items() if k != 'root'}

    def names(self) -> Iterator[str]:
        """List its images.

        Yields:
            Paths relative to ``root``, in the order of the list, or sorted.

        Raises:
            FileNotFoundError: If the folder or the list does not exist.
            ValueError: If there is no image.
        """
        if self.list_file is not None:
            table = PathTable.from_list(
                os.path.join(self.root, self.list_file), self.root, self.separator
            )
            yield from (table.name(row) for row in range(len(table)))
            return
        below = self.folder or ''
        table = PathTable.from_folder(os.path.join(self.root, below))
        for row in range(len(table)):
            yield os.path.join(below, table.name(row))


def read_collections(settings: Mapping[str, Mapping[str, Any]]) -> list[Collection]:
    """Build the collections of a config.

    Args:
        settings: By name, the arguments of :class:`Collection`.

    Returns:
        The collections, in the order of their names, so that the order in a config
        decides nothing.

    Raises:
        ValueError: If there is none, or one has an unknown or a missing key.
    """
    if not settings:
        raise ValueError('collections is empty, expected at least one')
    allowed = [field.name for field in fields(Collection) if field.name != 'name']
    found = []
    for name in sorted(settings):
        given = dict(settings[name])
        unknown = sorted(set(given) - set(allowed))
        if unknown or 'root' not in given:
            what = f'unknown keys {unknown}' if unknown else "no 'root'"
            raise ValueError(f'collections[{name!r}]: {what}; allowed are {allowed}')
        found.append(Collection(name, **given))
    return found
