"""The record of a conversion, beside what it made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from s5_mm.io.atomic import remove_leftovers
from s5_mm.io.locks import file_lock

from .archive import LayoutError
from .job_runner import files_below, write_output

RECORD, OUTPUTS = 'conversion.json', 'outputs.txt'
"""Files in the destination: the settings, and the files there should be."""

_LOCK = '.lock'


class Record(NamedTuple):
    """What a destination says about itself.

    Attributes:
        outputs: Files there should be, relative to the destination, sorted.
        missing: What the source lacked, a line each.
    """

    outputs: list[str]
    missing: list[str]


def open_destination(dst: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of a new destination, or compare with those of an old one.

    Args:
        dst: The destination.
        settings: What decides the files, JSON.

    Raises:
        LayoutError: If files of other settings, or of unknown ones, are there.
    """
    remove_leftovers(dst)
    if (dst / RECORD).exists():
        check_settings(dst, settings)
        return
    other = next((name for name in files_below(dst)), None)
    if other is not None:
        raise LayoutError(
            f'{dst}: it has files, {other} for one, but no {RECORD}; expected an empty '
            'folder or one that this command made'
        )
    text = json.dumps(settings, indent=2, sort_keys=True) + '\n'
    write_output(dst / RECORD, text.encode())


def check_settings(dst: Path, settings: Mapping[str, Any]) -> None:
    """Compare the settings with those that a destination was made with.

    Args:
        dst: The destination.
        settings: Settings of this run.

    Raises:
        LayoutError: If there are none, or one differs, which is named.
    """
    try:
        found = json.loads((dst / RECORD).read_text(encoding='utf-8'))
        pairs = {key: (found.get(key), value) for key, value in settings.items()}
    except FileNotFoundError as error:
        raise LayoutError(
            f'{dst}: there is no {RECORD}, so nothing was converted to this folder'
        ) from error
    except (ValueError, AttributeError) as error:
        raise LayoutError(
            f'{dst / RECORD}: is no record of a conversion '
            f'({type(error).__name__}: {error})'
        ) from error
    for key, (old, new) in pairs.items():
        if old != new:
            raise LayoutError(
                f'{dst / RECORD}: {key} was {old!r}, now it is {new!r}; expected the '
                'same settings or another destination'
            )


def write_plan(dst: Path, outputs: Sequence[str], missing: Sequence[str]) -> None:
    """Note what there should be, for later checks without the source.

    Args:
        dst: The destination.
        outputs: Files there should be.
        missing: What the source lacks, a line each.

    Raises:
        OSError: If it cannot be written.
    """
    lines = [*sorted(outputs), *(f'# {line}' for line in missing)]
    write_output(dst / OUTPUTS, ''.join(f'{line}\n' for line in lines).encode())


def read_plan(dst: Path) -> Record:
    """Read what there should be.

    Args:
        dst: The destination.

    Returns:
        The files, and what the source lacked.

    Raises:
        LayoutError: If that was never noted.
    """
    try:
        lines = (dst / OUTPUTS).read_text(encoding='utf-8').splitlines()
    except FileNotFoundError as error:
        raise LayoutError(
            f'{dst}: there is no {OUTPUTS}; the conversion stopped before it knew its '
            'files, start it again'
        ) from error
    return Record(
        [line for line in lines if not line.startswith('# ')],
        [line[2:] for line in lines if line.startswith('# ')],
    )


@contextmanager
def locked(dst: Path) -> Iterator[None]:
    """Keep other runs out; the lock ends with the process, whatever ends it.

    Args:
        dst: The destination; made where missing.

    Yields:
        While the lock is held.

    Raises:
        LayoutError: If another run has it.
    """
    dst.mkdir(parents=True, exist_ok=True)
    with open(dst / _LOCK, 'w', encoding='utf-8') as file, ExitStack() as stack:
        try:
            stack.enter_context(file_lock(file))
        except OSError as error:
            raise LayoutError(
                f'{dst}: another conversion writes to this folder, wait for it to end'
            ) from error
        yield
