"""The selected crops of a manifest as windows of the images they lie in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from s5_mm.io.images.fill import SMALL_POLICIES, SmallPolicy
from s5_mm.io.images.source import ImageWindow
from s5_mm.io.path_table import PathTable
from s5_mm.io.shared_table import SharedTable

from .parquet import VERSION_KEY
from .selected import WINDOW, read_selected


class WindowTable:
    """Windows of files, sorted by ``crop_id``.

    Args:
        paths: The files.
        rows: ``file``, the row of the file in ``paths``, ``x``, ``y``, ``width`` and
            ``height``.
        size: Side of a crop that smaller windows are filled up to; None leaves them.
        small: What they are filled with.
    """

    def __init__(
        self,
        paths: PathTable,
        rows: SharedTable,
        size: int | None = None,
        small: SmallPolicy = 'reflect',
    ) -> None:
        if small not in SMALL_POLICIES:
            raise ValueError(f'small={small!r}, allowed are {list(SMALL_POLICIES)}')
        self.paths, self.rows = paths, rows
        self.size, self.small = size, small

    @classmethod
    def from_manifest(
        cls,
        manifest: str,
        root: str = '',
        roots: Mapping[str, str] | None = None,
        size: int | None = None,
        small: SmallPolicy = 'reflect',
    ) -> WindowTable:
        """Read the selected rows of the manifest of a curation run.

        Args:
            manifest: The file.
            root: Folder that ``roots`` are relative to.
            roots: By the name of a collection, the folder its paths are relative to;
                None: ``root`` for all of them.
            size: See the class.
            small: See the class.

        Returns:
            The table.

        Raises:
            ValueError: If the file is damaged or of another version, nothing is
                selected, a collection has no root, or two crops have the same name.
        """
        table = read_selected(manifest, roots, root).sort_by('crop_id')
        files = table['file'].unify_dictionaries().combine_chunks()
        paths = PathTable(files.dictionary, '', manifest)
        rows = table.select(WINDOW).append_column('file', files.indices)
        rows = SharedTable(manifest, rows.replace_schema_metadata())
        return cls(paths, rows, size, small)

    @property
    def origin(self) -> str:
        """The manifest."""
        return self.rows.origin

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> str:
        x, y, width, height = self._window(index)
        return f'{self._path(index)}[x={x} y={y} {width}x{height}]'

    def exists(self, index: int) -> bool:
        """Tell whether the file of a window is there."""
        return os.path.exists(self._path(index))

    def info(self, index: int) -> dict[str, Any]:
        """Return what a pipeline starts from.

        Args:
            index: Row.

        Returns:
            ``img_path``, a name for messages, and ``img_source``.
        """
        source = ImageWindow(
            self._path(index), self._window(index), self.size, self.small
        )
        return {'img_path': self[index], 'img_source': source}

    def _path(self, index: int) -> str:
        """File of a window."""
        return self.paths[self.rows['file'][index].as_py()]

    def _window(self, index: int) -> tuple[int, int, int, int]:
        """Window of a crop: x, y, width, height in pixels."""
        x, y, width, height = (self.rows[name][index].as_py() for name in WINDOW)
        return x, y, width, height


def is_curated(manifest: str) -> bool:
    """Tell the manifest of a curation run from a plain list of files.

    Args:
        manifest: A Parquet file.

    Returns:
        Whether its metadata says so; False if it cannot be read.
    """
    try:
        metadata = pq.read_schema(manifest).metadata
    except (pa.ArrowException, OSError):
        return False  # reading it says what is wrong
    return VERSION_KEY in (metadata or {})
