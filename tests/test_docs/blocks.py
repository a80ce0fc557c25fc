"""The code blocks of README and of the pages below docs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    ROOT / 'data_curation/README.md',
    *sorted((ROOT / 'docs').glob('*.md')),
    *sorted((ROOT / 'docs/datasets').glob('*.md')),
    *sorted((ROOT / 'docs/lab').glob('*.md')),
)
_FENCE = re.compile(r'^```([\w{}-]*).*?\n(.*?)^```$', re.M | re.S)


class Block(NamedTuple):
    """A block of a page.

    Attributes:
        page: Path of the page, relative to the repository.
        language: What stands behind the fence, 'bash', 'python' or ''.
        text: What is in the block.
        line: Number of its first line in the page.
    """

    page: str
    language: str
    text: str
    line: int

    @property
    def name(self) -> str:
        """Name of a test of the block."""
        return f'{self.page}:{self.line}'

    @property
    def commands(self) -> list[str]:
        """Lines of a bash block, continued ones joined, comments and all."""
        joined = self.text.replace('\\\n', ' ')
        return [line for line in joined.splitlines() if line.strip()]


def blocks(*languages: str) -> list[Block]:
    """List the blocks in some languages, of all pages."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in _FENCE.finditer(text):
            line = text[: match.start(2)].count('\n') + 1
            name = page.relative_to(ROOT).as_posix()
            found.append(Block(name, match[1], match[2], line))
    return [block for block in found if block.language in languages]


def blocks_of(page: str, language: str = 'bash') -> list[Block]:
    """List the blocks of one page."""
    return [block for block in blocks(language) if block.page == page]
