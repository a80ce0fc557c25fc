"""iSAID: masks on the tiles of DOTA-v1.0 that hold objects, each quartered."""

from __future__ import annotations

from itertools import product
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from tools.dataset_converters.isaid import COLOURS

pytest.importorskip('shapely', reason="shapely comes with pip install 's5_mm[det]'")

from s5_mm.registry import DATASETS  # noqa: E402

from .archives import (  # noqa: E402
    TOOLS,
    convert,
    counts,
    encode,
    ids,
    pack,
    picture,
    tree,
)

CONFIG = TOOLS.parents[1] / 'configs/_base_/datasets/isaid_rs4p1m.py'
FILL = (124, 116, 104)
ARGS = ('--jobs', 1, '--counts', 'none')
# A scene of 2 x 3 tiles, one smaller than a tile.
SIZES = {'P0000': (1500, 2000), 'P0002': (700, 300)}


def palette() -> np.ndarray:
    """Colours of the config, (16, 3)."""
    return np.array(Config.fromfile(str(CONFIG))['metainfo']['palette'], np.uint8)


def box(x: int, y: int, side: int = 20) -> str:
    corners = [x, y, x + side, y, x + side, y + side, x, y + side]
    return ' '.join(f'{value:.1f}' for value in corners) + ' ship 0\n'


def isaid(folder: Path, split: str, sizes: dict, texts: dict[str, str]) -> Path:
    images, masks = {}, {}
    for name, (width, height) in sizes.items():
        seed, mask = int(name[1:]), ids(int(name[1:]), 16, width, height)
        images[f'images/{name}.png'] = encode(
            picture(seed, width, height), compress_level=1
        )
        masks[f'images/{name}_instance_color_RGB.png'] = encode(palette()[mask])
    pack(folder / split / 'images/part1.zip', images)
    pack(folder / split / 'Semantic_masks/images.zip', masks)
    if texts:
        members = {f'{name}.txt': text for name, text in texts.items()}
        pack(folder / split / 'labelTxt-v1.0/labelTxt.zip', members)
        pack(folder / split / 'labelTxt-v1.0/trainset_reclabelTxt.zip', members)
    return folder


@pytest.fixture
def src(tmp_path: Path) -> Path:
    # One object in the second tile of the first column alone, at y 1030 to 1050; one
    # that 0.5 of is in the last tile's column.
    text = 'imagesource:GoogleEarth\ngsd:0.1\n' + box(10, 1100) + box(466, 300)
    texts = {'P0000': text, 'P0002': box(5, 5)}
    isaid(tmp_path / 'src', 'train', SIZES, texts)
    return isaid(tmp_path / 'src', 'val', {'P0003': (1100, 1024)}, {})


def toolkit_windows(width: int, height: int) -> list[tuple[int, int]]:
    """Windows in the order of BboxToolkit: one column after another."""
    starts = []
    for length in (width, height):
        number = 1 if length <= 1024 else ceil((length - 1024) / 824 + 1)
        starts.append([min(824 * i, max(length - 1024, 0)) for i in range(number)])
    return list(product(*starts))


def expected_names(name: str, tiles: list[int]) -> list[str]:
    return [
        f'{name}_{tile:04d}_crop_{quarter}' for tile in tiles for quarter in range(4)
    ]


def test_crops(src: Path, tmp_path: Path) -> None:
    dst = tmp_path / 'dst'
    assert convert('isaid', src, dst, *ARGS) == 0
    config = Config.fromfile(str(CONFIG))['labelled'].to_dict()
    config['data_root'] = str(dst)
    config['pipeline'] = config['pipeline'][:2]
    dataset = DATASETS.build(config)
    found = {Path(dataset[i]['img_path']).stem: dataset[i] for i in range(len(dataset))}
    # Tiles 0, 1, 2 begin at (0, 0), (0, 824) and (0, 976).
    assert toolkit_windows(*SIZES['P0000'])[:3] == [(0, 0), (0, 824), (0, 976)]
    # The second box begins at 466: 0.5 of it, 10 of 20 px, would be in a tile to 476.
    wanted = expected_names('P0000', [0, 1, 2]) + expected_names('P0002', [0])
    assert sorted(found) == sorted(wanted)
    for name, sample in found.items():
        scene, tile, _, quarter = name.split('_')
        width, height = SIZES[scene]
        x, y = toolkit_windows(width, height)[int(tile)]
        x, y = x + 512 * (int(quarter) % 2), y + 512 * (int(quarter) // 2)
        image = np.full((3000, 3000, 3), FILL, np.uint8)
        image[:height, :width] = picture(int(scene[1:]), width, height)
        mask = np.full((3000, 3000), 255, np.uint8)
        mask[:height, :width] = ids(int(scene[1:]), 16, width, height)
        square = np.s_[y : y + 512, x : x + 512]
        np.testing.assert_array_equal(sample['img'], image[square], name)
        np.testing.assert_array_equal(sample['gt_seg_map'], mask[square], name)
    # Validation keeps all of its tiles, with or without objects.
    names = [path.stem for path in (dst / 'img_dir/val').iterdir()]
    assert sorted(names) == expected_names('P0003', [0, 1])


def test_objects_decide_by_seven_tenths(tmp_path: Path) -> None:
    """Tile 3 begins at x = 476; a box from 469.9 to 489.9 has 0.695 of it inside."""
    for x, kept in ((470, [0, 1, 2, 3, 4, 5]), (469.9, [0, 1, 2])):
        texts = {'P0000': box(x, 860) + box(x, 100) + box(x, 1900)}
        folder = tmp_path / str(x)
        src = isaid(folder / 'src', 'train', {'P0000': SIZES['P0000']}, texts)
        assert convert('isaid', src, folder / 'dst', *ARGS, '--dry-run') == 0
        assert convert('isaid', src, folder / 'dst', *ARGS) == 0
        names = [path.stem for path in (folder / 'dst/img_dir/train').iterdir()]
        assert sorted(names) == expected_names('P0000', kept)


def test_one_or_two_processes(src: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        dst = tmp_path / f'dst{jobs}'
        assert convert('isaid', src, dst, '--jobs', jobs, '--counts', 'none') == 0
    assert tree(tmp_path / 'dst1') == tree(tmp_path / 'dst2')


def test_what_is_missing(src: Path, tmp_path: Path, capsys) -> None:
    (src / 'train/labelTxt-v1.0/labelTxt.zip').unlink()
    assert convert('isaid', src, tmp_path / 'dst', *ARGS, '--dry-run') == 1
    out = capsys.readouterr().out
    assert 'train labelTxt of DOTA-v1.0: 2 of 2 are not in the source: P0000' in out
    assert 'img_dir/val' in out
    assert 'img_dir/train' not in out
    known = counts(tmp_path / 'known.json', 'isaid', train=(1,), val=(1,))
    text = Path(known).read_text().replace('"images"', '"scenes"')
    Path(known).write_text(text)
    args = ('--jobs', 1, '--counts', known, '--dry-run')
    assert convert('isaid', src, tmp_path / 'dst', *args) == 1
    out = capsys.readouterr().out
    assert 'BAD train: 0 images of the source, expected 1\n' in out
    assert 'BAD val' not in out


def test_bad_label_file(src: Path, tmp_path: Path, capsys) -> None:
    texts = {'P0000.txt': '1 2 3\n', 'P0002.txt': box(5, 5)}
    pack(src / 'train/labelTxt-v1.0/labelTxt.zip', texts)
    assert convert('isaid', src, tmp_path / 'dst', *ARGS) == 1
    out = capsys.readouterr().out
    assert 'BAD train/labelTxt-v1.0/labelTxt.zip/P0000.txt: line 1' in out
    assert (tmp_path / 'dst/img_dir/train/P0002_0000_crop_3.png').exists()


def test_colours_are_those_of_the_config() -> None:
    np.testing.assert_array_equal(COLOURS, palette())
