"""Which image belongs to which mask, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence

from s5_mm.io.path_table import PathTable

Pair = tuple[str, str | None]
"""Paths of an image and of its mask, None where there are no masks."""

_SHOWN = 5


def by_stem(folder: str, suffixes: Sequence[str]) -> dict[str, str]:
    """List the files of a folder by their names without suffix.

    Args:
        folder: The folder; sub-folders are part of the names.
        suffixes: Endings of the files that count, compared without case.

    Returns:
        Name without suffix -> name, both relative to the folder.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no such file, or two that differ in the suffix alone.
    """
    table = PathTable.from_folder(folder, suffixes)
    found: dict[str, str] = {}
    for name in (table.name(row) for row in range(len(table))):
        fitting = [len(s) for s in suffixes if name.lower().endswith(s.lower())]
        stem = name[: -max(fitting)]
        if stem in found:
            raise ValueError(
                f'{folder}: {found[stem]} and {name} are two files of one name, '
                f'expected one of the suffixes {tuple(suffixes)} each; narrow the '
                'suffixes down'
            )
        found[stem] = name
    return found


def none_missing(
    missing: Sequence[str], where: str, of_what: str, more: str = ''
) -> None:
    """Raise if something is missing, with the number and the first names.

    Args:
        missing: Names of what is missing.
        where: Start of the message.
        of_what: What there are so many of.
        more: End of the message.

    Raises:
        FileNotFoundError: If there is a name in ``missing``.
    """
    if missing:
        shown = ', '.join(missing[:_SHOWN]) + (', ...' if len(missing) > _SHOWN else '')
        raise FileNotFoundError(f'{where} for {len(missing)} {of_what}: {shown}{more}')
