"""What a run reads: lists of images, folders, weights in packages."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from s5_mm.checkpoints.packages import find_packaged
from s5_mm.io.crop_tables.run_names import INDEX_FILE


def list_files(settings: Any) -> set[str]:
    """Find the files that list the images of data sets, or hash those of shards.

    Args:
        settings: Config of a run.

    Returns:
        Paths of those that are there.
    """
    found = {
        os.path.join(path, INDEX_FILE) if key == 'shards' else path
        for node in _mappings(settings)
        for key, path in _sources(node)
    }
    return {path for path in found if os.path.isfile(path)}


def missing_input(settings: Mapping[str, Any]) -> str:
    """Look for what a run needs before it starts.

    Args:
        settings: Config of a run.

    Returns:
        One phrase that names the first thing that is not there, '' if all is.
    """
    for loader in ('train_dataloader', 'val_dataloader'):
        for node in _mappings(settings[loader]):
            root = node.get('data_root')
            if root and not os.path.isdir(root):
                root = os.path.normpath(root)
                return f'{root}: there is no such folder (data_root in {loader})'
            for key, path in _sources(node):
                if not os.path.exists(path):
                    return f'{path}: there is no such file ({key} in {loader})'
    for node in _mappings(settings['model']):
        address = node.get('checkpoint')
        if isinstance(address, str) and address.startswith('package://'):
            try:
                find_packaged(address)
            except (FileNotFoundError, ValueError) as error:
                return str(error)
    return ''


def _mappings(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield all dictionaries of a tree."""
    if isinstance(node, Mapping):
        yield node
        node = node.values()
    elif not isinstance(node, (list, tuple)):
        return
    for child in node:
        yield from _mappings(child)


def _sources(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield key and path of what lists the images of a data set."""
    root = node.get('data_root') or ''
    for key in ('ann_file', 'manifest', 'shards'):
        value = node.get(key)
        for path in value if isinstance(value, (list, tuple)) else [value]:
            if path and isinstance(path, str):
                yield key, os.path.join(root, path)
