"""How the report writes names, numbers, shares and times."""

from __future__ import annotations


def shown(text: object) -> str:
    """Make a text visible: characters that do not print become escapes.

    A line feed, a control character or one that turns the direction of writing is
    shown as Python writes it, so a file name can neither hide nor break anything.

    Args:
        text: Anything.

    Returns:
        Text of printable characters.
    """
    return ''.join(
        char
        if char.isprintable()
        else char.encode('unicode_escape', 'surrogatepass').decode()
        for char in str(text)
    )


def number(value: float | int | None, digits: int = 4) -> str:
    """Format a number.

    Args:
        value: The number; None and NaN become ``-``.
        digits: Significant digits of a number that is not whole.

    Returns:
        Whole numbers with thousands separators, others with some digits.
    """
    if value is None or value != value:
        return '-'
    if isinstance(value, int) or float(value).is_integer():
        return f'{int(value):,}'
    return f'{value:.{digits}g}'


def percent(part: float, whole: float) -> str:
    """Format a share, ``-`` where the whole is 0."""
    return f'{part / whole:.2%}' if whole else '-'


def duration(seconds: float) -> str:
    """Format a time: 12.3 s below two minutes, else hours, minutes and seconds."""
    if seconds < 120:
        return f'{number(float(seconds), 3)} s'
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02}:{rest:02} h'
