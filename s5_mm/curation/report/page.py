"""The page of a report, from the template ``report.html.jinja``."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from s5_mm.io.crop_tables.run_names import DECISIONS

from .contact_sheets import jpeg
from .gallery import FilledSheet
from .text import duration, number, percent, shown

_TEMPLATE = Path(__file__).with_name('report.html.jinja')


def build_page(
    title: str,
    numbers: Mapping[str, Any],
    config: str,
    images: Mapping[str, bytes],
    sheets: Sequence[FilledSheet],
) -> str:
    """Render the page of a report.

    Titles and the names of files, classes and collections are data: they are escaped,
    and characters that do not print are shown.

    Args:
        title: Its heading.
        numbers: Content of ``report.json``.
        config: Text of the run's config.
        images: Figures, PNG, by name.
        sheets: Contact sheets.

    Returns:
        HTML that needs no other file.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATE.parent),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number, percent=percent, duration=duration, jpeg=jpeg, picture=_picture
    )
    return environment.get_template(_TEMPLATE.name).render(
        numbers,
        title=title,
        config=config.splitlines(),
        images=images,
        sheets={sheet.name: sheet for sheet in sheets},
        decisions=DECISIONS,
        collection_rows=_collection_rows(numbers),
    )


def _printable(value: Any) -> Any:
    """Make a value printable; what the template itself has built stays as it is."""
    return value if isinstance(value, Markup) else shown(value)


def _picture(content: bytes, kind: str) -> Markup:
    """Encode a picture as a data URI."""
    return Markup(f'data:image/{kind};base64,{base64.b64encode(content).decode()}')


def _collection_rows(numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Join the crops and the files of each collection, one of which may be none."""
    crops = {row['collection']: row for row in numbers['collections']}
    files = numbers['sources']['collections']
    nothing = dict.fromkeys(('planned', 'scored', *DECISIONS), 0)
    no_files = dict.fromkeys(('files', 'unreadable', 'bytes', 'pixels'), 0)
    return [
        {'collection': name, **crops.get(name, nothing), **files.get(name, no_files)}
        for name in sorted({*crops, *files})
    ]
