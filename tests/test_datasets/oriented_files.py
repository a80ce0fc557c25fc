"""Images with oriented boxes in the owners' formats, for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .files import picture, write

CLASSES = ('ship', 'large-vehicle', 'Helipad')
META = {'classes': CLASSES, 'palette': [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}
UPRIGHT = (4, 6, 20, 6, 20, 12, 4, 12)
TILTED = (10, 2, 16, 8, 8, 16, 2, 10)
TAGS = [f'{c}_{p}_{q}' for p, q in (('left', 'top'), ('right', 'top'),
        ('right', 'bottom'), ('left', 'bottom')) for c in 'xy']  # fmt: skip
Box = tuple[Sequence[float], str, int | None]


def text(*boxes: Box, header: str = '') -> str:
    """Boxes as DOTA's owners write them."""
    lines = [
        ' '.join([*map(str, corners), label, *([] if hard is None else [str(hard)])])
        for corners, label, hard in boxes
    ]
    return header + ''.join(f'{line}\n' for line in lines)


def xml(*boxes: Box, size: tuple[int, int] | None = (32, 40)) -> str:
    """Boxes as DIOR-R's owners write them; size is height and width."""
    parts = ['<annotation><filename>0.jpg</filename>']
    if size:
        parts.append(f'<size><width>{size[1]}</width><height>{size[0]}</height></size>')
    for corners, label, hard in boxes:
        tags = ''.join(
            f'<{tag}>{value}</{tag}>' for tag, value in zip(TAGS, corners, strict=True)
        )
        difficult = '' if hard is None else f'<difficult>{hard}</difficult>'
        parts.append(
            f'<object><name>{label}</name>{difficult}<robndbox>{tags}</robndbox>'
            '<angle>0</angle></object>'
        )
    return '\n'.join([*parts, '</annotation>'])


def put(path: Path, content: str) -> str:
    """Write a text file, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding='utf-8')
    return str(path)


def dota_tree(root: Path, texts: dict[str, str], suffix: str = '.png') -> dict:
    """Write images and texts; give the config of the data set."""
    for seed, (stem, content) in enumerate(texts.items()):
        write(root / 'images' / f'{stem}{suffix}', picture(seed))
        put(root / 'annfiles' / f'{stem}.txt', content)
    return {
        'type': 's5_mm.DotaTextDataset',
        'data_root': str(root),
        'ann_file': 'annfiles',
        'data_prefix': {'img_path': 'images'},
        'metainfo': META,
    }


def voc_tree(root: Path, xmls: dict[str, str], lists: dict[str, list[str]]) -> dict:
    """Write images, XML files and lists; give the config of the data set."""
    for seed, (stem, content) in enumerate(xmls.items()):
        write(root / 'JPEGImages' / f'{stem}.jpg', picture(seed))
        put(root / 'Annotations' / 'obb' / f'{stem}.xml', content)
    for name, stems in lists.items():
        put(root / 'ImageSets' / f'{name}.txt', '\n'.join(stems))
    return {
        'type': 's5_mm.VocXmlDataset',
        'data_root': str(root),
        'ann_file': [f'ImageSets/{name}.txt' for name in lists],
        'ann_subdir': 'Annotations/obb',
        'data_prefix': {'img_path': 'JPEGImages'},
        'metainfo': META,
    }
