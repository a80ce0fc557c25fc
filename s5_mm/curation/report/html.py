"""A page of HTML that needs nothing but itself; everything put into it is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from .page_style import STYLE

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<h1>{title}</h1>
<nav>{links}</nav>
{body}
</body>
</html>
"""


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


def safe(text: object) -> str:
    """Escape a text for HTML, in an element or in an attribute."""
    return escape(shown(text), quote=True)


def number(value: float | int | None, digits: int = 4) -> str:
    """Write a number: whole ones with separators, others with some digits."""
    if value is None or value != value:
        return '-'
    if isinstance(value, int) or float(value).is_integer():
        return f'{int(value):,}'
    return f'{value:.{digits}g}'


def percent(part: float, whole: float) -> str:
    """Write a share; '-' of nothing."""
    return f'{part / whole:.2%}' if whole else '-'


class Page:
    """Collects the sections of a page.

    Args:
        title: Its heading.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = []
        self._links: list[str] = []

    def section(self, heading: str) -> None:
        """Begin a section."""
        anchor = f's{len(self._links) + 1}'
        self._links.append(f'<a href="#{anchor}">{safe(heading)}</a>')
        self._parts.append(f'<h2 id="{anchor}">{safe(heading)}</h2>')

    def subsection(self, heading: str) -> None:
        """Begin a part of a section."""
        self._parts.append(f'<h3>{safe(heading)}</h3>')

    def text(self, text: str, kind: str = '') -> None:
        """Add a paragraph.

        Args:
            text: Its text.
            kind: ``note``, ``problem`` or '', how it looks.
        """
        self._parts.append(f'<p class="{safe(kind)}">{safe(text)}</p>')

    def preformatted(self, summary: str, text: str) -> None:
        """Add a text whose lines stay as they are, folded away."""
        lines = '\n'.join(safe(line) for line in text.splitlines())
        self._parts.append(
            f'<details><summary>{safe(summary)}</summary><pre>{lines}</pre></details>'
        )

    def table(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[object]],
        folded: str = '',
    ) -> None:
        """Add a table; numbers are written by :func:`number` and stand right.

        Args:
            headings: Of its columns.
            rows: Its cells.
            folded: Text to unfold it by; '' shows it at once.
        """
        head = ''.join(f'<th scope="col">{safe(text)}</th>' for text in headings)
        body = ''.join(f'<tr>{"".join(map(_cell, row))}</tr>\n' for row in rows)
        table = (
            f'<div class="table"><table><thead><tr>{head}</tr></thead>\n'
            f'<tbody>{body}</tbody></table></div>'
        )
        if folded:
            table = f'<details><summary>{safe(folded)}</summary>{table}</details>'
        self._parts.append(table)

    def figure(self, png: bytes, caption: str) -> None:
        """Add a picture.

        Args:
            png: Its file.
            caption: Text below it, which also stands for it.
        """
        self._parts.append(
            f'<figure class="chart"><img alt="{safe(caption)}" '
            f'src="{_data("png", png)}"><figcaption>{safe(caption)}</figcaption>'
            '</figure>'
        )

    def gallery(
        self, heading: str, tiles: Sequence[tuple[bytes, Sequence[str]]]
    ) -> None:
        """Add small pictures in rows that wrap.

        Args:
            heading: Text above them; '' for none.
            tiles: The file of every picture, JPEG, and the lines below it.
        """
        if heading:
            self._parts.append(f'<h4>{safe(heading)}</h4>')
        cells = []
        for jpeg, lines in tiles:
            below = ''.join(f'<span>{safe(line)}</span>' for line in lines)
            full = safe('; '.join(lines))
            cells.append(
                f'<figure title="{full}"><img alt="{full}" loading="lazy" '
                f'src="{_data("jpeg", jpeg)}"><figcaption>{below}</figcaption></figure>'
            )
        self._parts.append(f'<div class="gallery">{"".join(cells)}</div>')

    def render(self) -> str:
        """Give the page."""
        return _PAGE.format(
            title=safe(self.title),
            style=STYLE,
            links=' '.join(self._links),
            body='\n'.join(self._parts),
        )


def _cell(value: object) -> str:
    """Write a cell of a table."""
    if value is None or isinstance(value, (int, float)):
        return f'<td class="number">{number(value)}</td>'
    return f'<td>{safe(value)}</td>'


def _data(kind: str, content: bytes) -> str:
    """Write a picture as an address that holds it."""
    return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'
