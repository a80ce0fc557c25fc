"""Folders of images and masks, as users have them."""

from __future__ import annotations

from pathlib import Path

from s5_mm.datasets.own_images import Prepared, Request, prepare

ROOT = Path(__file__).parents[2]


def make(data: Path, **options) -> Prepared:
    """Prepare a folder; the configs go next to it."""
    target = options.pop('target', data.parent / 'own')
    return prepare(Request(data, target, ROOT / 'configs/_base_', **options))
