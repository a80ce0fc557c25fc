"""A few sources of every kind and the manifest of their crops."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from s5_mm.curation.planning.crop_grid import CropGrid, crop_ids
from s5_mm.curation.shards.shard_options import ShardOptions
from s5_mm.io.crop_tables.parquet import write_table

SIZE = 32
OPTIONS = ShardOptions(per_shard=7, size=SIZE)
# By collection and path: height, width, channels.
SOURCES = {
    ('air', 'large.png'): (150, 200, 3),
    ('air', 'sub/wide.jpg'): (40, 170, 3),
    ('space', 'exact.jpg'): (SIZE, SIZE, 3),
    ('space', 'exact.png'): (SIZE, SIZE, 3),
    ('space', 'exact_alpha.png'): (SIZE, SIZE, 4),
    ('space', 'exact_grey.png'): (SIZE, SIZE, 1),
    ('space', 'small.png'): (20, 27, 3),
    ('space', 'tiles.tif'): (90, 70, 3),
}


class World:
    """Sources on disk, the pixels of their crops, and the manifest.

    Args:
        folder: Where they are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.roots = {name: str(folder / name) for name in ('air', 'space')}
        self.manifest = folder / 'manifest.parquet'
        self.pixels: dict[int, np.ndarray] = {}
        self.file_of: dict[int, Path] = {}
        rows: list[dict] = []
        for number, ((collection, path), shape) in enumerate(SOURCES.items()):
            file = folder / collection / path
            image = draw(file, number, shape)
            windows = CropGrid(SIZE, 24).windows(image.shape[1], image.shape[0])
            ids = crop_ids(collection, path, windows).tolist()
            for crop_id, (x, y, w, h) in zip(ids, windows.tolist(), strict=True):
                crop = image[y : y + h, x : x + w]
                fill = ((0, SIZE - h), (0, SIZE - w), (0, 0))
                crop = np.ascontiguousarray(np.pad(crop, fill, 'reflect'))
                chosen = len(windows) == 1 or len(rows) % 6 > 0
                if chosen:
                    self.pixels[crop_id], self.file_of[crop_id] = crop, file
                rows.append(
                    {
                        'crop_id': crop_id,
                        'collection': collection,
                        'path': path,
                        **dict(x=x, y=y, width=w, height=h),
                        'source_sha256': hashlib.sha256(file.read_bytes()).digest(),
                        'pixel_hash': hashlib.blake2b(crop, digest_size=16).digest(),
                        'decision': 'selected' if chosen else 'unselected',
                    }
                )
        self.rows = rows
        self.write_manifest(self.manifest, rows)

    def write_manifest(self, path: Path, rows: list[dict]) -> Path:
        """Write rows as the pipeline does."""
        table = pa.Table.from_pylist(rows, MANIFEST)
        for name in ('collection', 'decision'):
            place = table.column_names.index(name)
            table = table.set_column(place, name, table[name].dictionary_encode())
        write_table(path, table)
        return path


MANIFEST = pa.schema(
    [
        ('crop_id', pa.uint64()),
        ('collection', pa.string()),
        ('path', pa.string()),
        *((name, pa.int32()) for name in ('x', 'y', 'width', 'height')),
        ('source_sha256', pa.binary(32)),
        ('pixel_hash', pa.binary(16)),
        ('decision', pa.string()),
    ]
)


def draw(file: Path, seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Write smooth noise and give what a reader sees: uint8 (H, W, 3), RGB."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(rng.integers(0, 256, shape, np.uint8), (0, 0), 1.0)
    cv2.imwrite(str(file), image)
    return cv2.imread(str(file), cv2.IMREAD_COLOR)[..., ::-1]


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of all files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }
