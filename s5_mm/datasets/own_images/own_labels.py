"""Find out which class a value or a colour of the masks means."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from s5_mm.utils.ignore import IGNORE

from ..labels import MAX_CLASSES
from .pixels import Colour, MaskPixels

Value = int | Colour

_SHOWN = 8
# More values than this are shades or scores rather than classes nobody has named.
_MAX_UNNAMED = 32


class Classes(NamedTuple):
    """What the masks mean.

    Attributes:
        names: Names of the classes, in the order of their ids.
        values: The stored value or colour of each class; None where the values are
            the ids.
        ignored: Stored values or colours that count nowhere, besides 255.
    """

    names: tuple[str, ...]
    values: tuple[Value, ...] | None
    ignored: tuple[Value, ...] = ()

    @property
    def colours(self) -> bool:
        """Whether the masks are in colours and must be converted."""
        return self.values is not None and isinstance(self.values[0], tuple)

    @property
    def label_map(self) -> dict[int, int] | None:
        """Value stored in the masks -> class id; None where nothing changes."""
        if self.colours:
            return None
        found = {
            value: label
            for label, value in enumerate(self.values or ())
            if isinstance(value, int) and value != label
        }
        found.update({v: IGNORE for v in self.ignored if isinstance(v, int)})
        return found or None

    def ids(self, counts: Counter) -> set[int]:
        """List the class ids in a mask, from its pixels by stored value."""
        values = self.values or tuple(range(len(self.names)))
        return {label for label, value in enumerate(values) if counts[value]}


def parse_class(text: str) -> tuple[str, Value | None]:
    """Read an entry of ``--classes``: NAME, NAME=VALUE or NAME=#RRGGBB.

    Args:
        text: The entry.

    Returns:
        The name, and the value or colour that masks hold, None if it is not given.

    Raises:
        ValueError: If it is none of these.
    """
    name, equals, value = text.partition('=')
    if name and not equals:
        return name, None
    if name and re.fullmatch(r'\d{1,3}', value) and int(value) <= IGNORE:
        return name, int(value)
    if name and re.fullmatch(r'#[0-9a-fA-F]{6}', value):
        red, green, blue = bytes.fromhex(value[1:])
        return name, (red, green, blue)
    raise ValueError(
        f'--classes: {text!r}; expected NAME, NAME=VALUE with a value of the masks in '
        '0..255, or NAME=#RRGGBB with a colour of them'
    )


def check_different(given: Sequence[tuple[str, Value | None]]) -> None:
    """Refuse names or values of classes that occur twice.

    Args:
        given: Names with values or colours, see :func:`parse_class`.

    Raises:
        ValueError: If one does.
    """
    names, values = zip(*given, strict=True) if given else ((), ())
    for listed in (names, [value for value in values if value is not None]):
        twice = [item for item, count in Counter(listed).items() if count > 1]
        if twice:
            raise ValueError(
                f'--classes: {_show(twice)} occurs twice, expected different names and '
                'values'
            )


def read_labels(
    where: str,
    pixels: Sequence[MaskPixels],
    given: Sequence[tuple[str, Value | None]] = (),
    ignored: Sequence[int] = (),
) -> Classes:
    """Bring the classes that a person has named together with what the masks hold.

    Args:
        where: Folder of the masks, for messages.
        pixels: What the masks hold.
        given: Names with values or colours, see :func:`parse_class`.
        ignored: Further values that count nowhere.

    Returns:
        Names and values of the classes.

    Raises:
        ValueError: If it stays open which class a value means, with the line that says
            it; if a name or value occurs twice; if there are fewer than two classes.
    """
    check_different(given)
    names = [name for name, _ in given]
    stored = [value for _, value in given if value is not None]
    if stored and len(stored) < len(given):
        raise ValueError(
            f'--classes: {len(stored)} of {len(given)} classes have a value; expected '
            'a value for each or for none'
        )
    if len(given) == 1 or len(given) > MAX_CLASSES:
        raise ValueError(
            f'--classes: {len(given)} classes; allowed are 2 to {MAX_CLASSES}, '
            'background is one of them'
        )
    totals: Counter = sum((pair.counts for pair in pixels), Counter())
    found = sorted(totals)
    if isinstance(found[0], tuple):
        return _in_colours(where, totals, names, stored)
    rest = [value for value in found if value not in ignored]
    if stored:
        return _by_value(where, rest, names, stored, ignored)
    return _by_order(where, rest, names, ignored)


def _in_colours(where: str, totals: Counter, names: list[str], stored: list) -> Classes:
    """Match the colours of masks with the ones that were named."""
    total = sum(totals.values())
    most = [
        f'{_hex(colour)} {count / total:.0%}'
        for colour, count in totals.most_common(_SHOWN)
    ]
    shown = ', '.join(most) + (', ...' if len(totals) > _SHOWN else '')
    unknown = [colour for colour in totals if colour not in stored]
    if unknown:
        example = ' '.join(
            f'NAME={_hex(c)}' for c, _ in totals.most_common(min(len(totals), 3))
        )
        raise ValueError(
            f'{where}: masks are in colours ({shown}), expected class ids; '
            f'{len(unknown)} of {len(totals)} colours have no class; give each one: '
            f'--classes {example}{" ..." if len(totals) > 3 else ""} --convert-masks'
        )
    return Classes(tuple(names), tuple(stored))


def _by_value(
    where: str,
    rest: list[int],
    names: list[str],
    stored: list,
    ignored: Sequence[int],
) -> Classes:
    """Take the values as they were given."""
    unnamed = [v for v in rest if v not in stored and v != IGNORE]
    if unnamed or any(isinstance(value, tuple) for value in stored):
        raise ValueError(
            f'{where}: masks hold the values {_show(rest)}, --classes names '
            f'{_show(stored)}; name the others too, or --ignore them'
        )
    plain = stored == list(range(len(names))) and IGNORE not in stored
    return Classes(tuple(names), None if plain else tuple(stored), tuple(ignored))


def _by_order(
    where: str, rest: list[int], names: list[str], ignored: Sequence[int]
) -> Classes:
    """Find the values of classes that were named in order, or not at all."""
    ids = [value for value in rest if value != IGNORE]
    holds = f'{where}: masks hold {_count(len(rest))} {_show(rest)}'
    # Beside ids 255 counts nowhere; beside other values it is one of them.
    said = ids if len(ids) > 1 and ids[-1] < len(ids) else rest
    say = ' '.join(f'NAME={value}' for value in said[:_SHOWN])
    if len(rest) < 2 and len(names) < 2:
        raise ValueError(
            f'{holds}; expected at least two classes; if it is class 0 of several, '
            'name all of them with --classes'
        )
    # Binary masks as image editors write them: there 255 is a class.
    binary = not names and rest == [0, IGNORE]
    count = len(names) or (2 if binary else ids[-1] + 1 if ids else 0)
    if not names and not binary and len(ids) < count and count > _MAX_UNNAMED:
        raise ValueError(f'{holds}; say which class each one is: --classes {say}')
    used: tuple[Value, ...] | None = None
    if not ids or ids[-1] >= count or ids == [0] != rest:
        used = next((tuple(v) for v in (ids, rest) if len(v) == count), None)
        if used is None:
            raise ValueError(
                f'{holds}, --classes names {len(names)}; name each value: --classes '
                f'{say}, or leave some out with --ignore VALUE'
            )
        stray = [value for value in ids if value >= count]
        if len(ids) - len(stray) > 1 and ids != [*range(1, count + 1)]:
            # Ids, and a value that slipped in, more likely than values in order.
            raise ValueError(
                f'{holds}; {_show(stray)}: not among the ids of {count} classes, 0 to '
                f'{count - 1}; name each value: --classes {say}, or leave it out: '
                f'--ignore {" ".join(map(str, stray))}'
            )
    names = names or [f'class_{label}' for label in range(count)]
    return Classes(tuple(names), used, tuple(ignored))


def _count(number: int) -> str:
    """Write how many values there are."""
    return 'one value,' if number == 1 else f'{number} values,'


def _hex(colour: Value) -> str:
    """Write a colour as ``#rrggbb``."""
    return '#{:02x}{:02x}{:02x}'.format(*colour) if isinstance(colour, tuple) else ''


def _show(values: Sequence) -> str:
    """List values, a few of them."""
    shown = [_hex(v) if isinstance(v, tuple) else str(v) for v in values[:_SHOWN]]
    return ', '.join(shown) + (', ...' if len(values) > _SHOWN else '')
