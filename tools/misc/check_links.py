"""Check the relative links of all Markdown pages.

    python tools/misc/check_links.py

A link must lead to a file or folder of the repository, and its `#anchor` to a heading
of that page, by the anchors that GitHub makes.  Prints one line per dead link and then
exits with status 1.  Addresses on the network are not looked up.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from s5_mm.cli.command import CommandParser, start_command

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r'^(```|:::).*?^\1$', re.M | re.S)
_CODE = re.compile(r'`[^`\n]*`')
_LINK = re.compile(r'\]\(([^()\s]+)\)')
_HEADING = re.compile(r'^#+ +(.+?) *$', re.M)


def pages(root: Path) -> list[Path]:
    """List the Markdown pages of a checkout.

    Args:
        root: Folder of the checkout.

    Returns:
        Paths of the pages that git knows or would add.
    """
    command = ['git', 'ls-files', '-z', '-co', '--exclude-standard', '--', '*.md']
    listed = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=True
    )
    paths = (root / name for name in listed.stdout.split('\0') if name)
    return sorted(path for path in paths if path.is_file())


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of the headings of a page.

    Args:
        page: A Markdown file.

    Returns:
        Anchors as GitHub makes them: lower case, punctuation dropped, spaces as
        hyphens; a repeated one gets ``-1``, ``-2``, ...
    """
    found: dict[str, int] = {}
    text = _FENCE.sub('', page.read_text(encoding='utf-8'))
    names = []
    for heading in _HEADING.findall(text):
        shown = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading).replace('`', '')
        slug = re.sub(r'[^\w\- ]', '', shown.lower()).replace(' ', '-')
        count = found.get(slug, 0)
        found[slug] = count + 1
        names.append(f'{slug}-{count}' if count else slug)
    return frozenset(names)


def dead_links(page: Path, root: Path = ROOT) -> Iterator[str]:
    """Yield one line for each dead link of a page.

    Args:
        page: A Markdown file below ``root``.
        root: Folder of the checkout.
    """
    text = _CODE.sub('', _FENCE.sub('', page.read_text(encoding='utf-8')))
    for target in _LINK.findall(text):
        if re.match(r'[a-z]+:', target):
            continue
        name, _, anchor = target.partition('#')
        path = (page.parent / name).resolve() if name else page
        where = f'{page.relative_to(root)}: {target}'
        if not path.is_relative_to(root) or not path.exists():
            yield f'{where}: there is no such file'
        elif anchor and path.suffix == '.md' and anchor not in anchors(path):
            yield f'{where}: {path.relative_to(root)} has no heading of this name'


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line, those of the process by default.

    Returns:
        1 if a link is dead, else 0.
    """
    CommandParser(__doc__, __file__).parse_args(arguments)
    found = pages(ROOT)
    faults = [fault for page in found for fault in dead_links(page)]
    for fault in faults:
        print(fault)
    print(f'{len(found)} pages, {len(faults)} dead links')
    return 1 if faults else 0


if __name__ == '__main__':
    start_command(main)
