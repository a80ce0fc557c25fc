"""The commit of the checkout that this code is in."""

from __future__ import annotations

import subprocess
from pathlib import Path


def checkout_commit(mark_changes: bool = False) -> str | None:
    """Return the commit of the checkout, None outside of one.

    Args:
        mark_changes: Add ``+`` if tracked files differ from the commit.

    Returns:
        40 hexadecimal digits.
    """
    commit = _git('rev-parse', 'HEAD')
    if commit and mark_changes and _git('status', '--porcelain', '-uno'):
        commit += '+'
    return commit or None


def _git(*arguments: str) -> str:
    """Return what git prints, '' where it fails or is missing."""
    try:
        done = subprocess.run(
            ['git', *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        return ''
    return done.stdout.strip()
