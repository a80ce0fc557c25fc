"""What all tests of the converters share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests kill processes, not the machine: the page cache survives."""
    monkeypatch.setattr(os, 'fsync', lambda *_: None)
