"""From a folder of one's own images to configs that are right for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from s5_mm.checkpoints import DamagedCheckpointError
from s5_mm.cli.config import load_config
from s5_mm.datasets.own_images import Prepared
from s5_mm.datasets.own_images.splitting import draw_split
from s5_mm.registry import DATASETS, METRICS, MODELS
from s5_mm.visualization import categorical_palette

from .own_folders import scene, write, write_folder
from .own_images import make


def opened(made: Prepared, split: str = 'train'):
    """Open the data set of a split as a run does."""
    cfg = load_config(str(made.files[1]))
    init_default_scope(cfg.default_scope)
    return DATASETS.build(cfg[f'{split}_dataloader'].dataset)


@pytest.mark.parametrize(
    ('images', 'masks'),
    [
        ('images/{}.jpg', 'masks/{}.png'),
        ('images/{}.png', 'labels/{}.png'),
        ('img_dir/{}.JPG', 'ann_dir/{}.png'),
        ('Images/city/{}.png', 'Masks/city/{}.tif'),
        ('{}.jpg', '{}.png'),
        ('{}_sat.jpg', '{}_mask.png'),
        ('{}.png', '{}_mask.png'),
    ],
)
def test_layouts_without_splits(tmp_path: Path, images: str, masks: str) -> None:
    """Split lists are drawn; names with spaces work; the masks pair with the images."""
    data = write_folder(tmp_path / 'my data', 6, images, masks)
    before = sorted(path.relative_to(data) for path in data.rglob('*'))
    made = make(data, classes=('land', 'water'))
    assert made.run.name == 'my_data'
    assert sorted(path.relative_to(data) for path in data.rglob('*')) == before
    names = [path.name for path in made.files]
    lists = ['my_data_train.txt', 'my_data_val.txt']
    assert names == ['my_data_data.py', 'my_data.py', *lists]
    train, val = opened(made), opened(made, 'val')
    assert (len(train), len(val), len(opened(made, 'test'))) == (5, 1, 1)
    sup = train.datasets[0]
    seen = {}
    for dataset in (sup, val):
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            number = int(Path(info['img_path']).stem.split()[1].split('_')[0])
            seen[number] = info
    assert sorted(seen) == list(range(6))
    for number, info in seen.items():
        stored = cv2.imread(info['seg_map_path'], cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(stored, scene(number)[1])
        assert f'tile {number}' in info['img_path']


def test_folders_of_splits_stay(tmp_path: Path) -> None:
    data = tmp_path / 'data'
    for split, count in (('train', 4), ('val', 2), ('test', 3)):
        write_folder(
            data, count, f'img_dir/{split}/{{}}.jpg', f'ann_dir/{split}/{{}}.png'
        )
    made = make(data, classes=('land', 'water'), name='mine')
    assert [path.name for path in made.files] == ['mine_data.py', 'mine.py']
    sizes = [len(opened(made, split)) for split in ('train', 'val', 'test')]
    assert sizes == [4, 2, 3]
    other = tmp_path / 'other'
    for split, count in (('training', 5), ('test', 2)):
        write_folder(other, count, f'{split}/images/{{}}.jpg', f'{split}/gt/{{}}.png')
    made = make(other, classes=('land', 'water'))
    assert sorted(path.suffix for path in made.files) == ['.py', '.py', '.txt', '.txt']
    sizes = [len(opened(made, split)) for split in ('train', 'val', 'test')]
    assert sizes == [4, 1, 2]


def test_folders_with_names_of_their_own(tmp_path: Path) -> None:
    data = write_folder(tmp_path / 'data', 3, 'ortho/{}.png', 'digitised/{}.png')
    with pytest.raises(FileNotFoundError, match='--images and --masks name other'):
        make(data)
    made = make(data, images='ortho', masks='digitised', classes=('a', 'b'))
    assert len(opened(made, 'val')) == 1
    with pytest.raises(FileNotFoundError, match='nowhere: there is no such folder'):
        make(data, images='ortho', masks='nowhere', name='x')


def test_the_run_is_right_for_the_images(tmp_path: Path) -> None:
    """Classes, palette, statistics, crop, protocol, score: all are the user's."""
    data = write_folder(tmp_path / 'data', 5, side=72)
    made = make(data, classes=('background', 'water'))
    cfg = load_config(str(made.files[1]))
    init_default_scope(cfg.default_scope)
    images = [
        cv2.imread(opened(made).datasets[0].get_data_info(i)['img_path'])[..., ::-1]
        for i in range(4)
    ]
    flat = np.concatenate([image.reshape(-1, 3) for image in images])
    np.testing.assert_allclose(
        cfg.model.data_preprocessor.mean, flat.mean(0), atol=0.01
    )
    np.testing.assert_allclose(cfg.model.data_preprocessor.std, flat.std(0), atol=0.01)
    assert cfg.model.segmentor.decode_head.num_classes == 2
    assert cfg.model.segmentor.backbone.img_size == 64
    protocol = dict(mode='slide', crop_size=(64, 64), stride=(42, 42))
    assert cfg.model.segmentor.test_cfg == protocol
    assert cfg.train_dataloader.dataset.sources.sup.pipeline[2].crop_size == (64, 64)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.metainfo.classes == ('background', 'water')
        assert loader.dataset.metainfo.palette == categorical_palette(2)
        assert loader.dataset.data_root == f'{data}/'
    # The first class counts, whatever it is called.
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert METRICS.build(evaluator).background is None
    assert cfg.default_hooks.checkpoint.save_best == 'mIoU'
    assert cfg.optim_wrapper.dtype == 'auto'
    assert [step.type for step in cfg.tta_pipeline] == [
        's5_mm.LoadImage',
        'TestTimeAug',
    ]
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert model.num_classes == 2
    assert cfg.train_cfg.max_iters == 400
    assert cfg.param_scheduler[1].end == 400
    # A trial run on the command line.
    short = load_config(str(made.files[1]), {'max_iters': 20})
    assert short.train_cfg.max_iters == short.param_scheduler[1].end == 20
    assert short.param_scheduler[0].end == short.param_scheduler[1].begin == 10
    assert short.train_cfg.val_interval == short.default_hooks.checkpoint.interval == 5
    for file in made.files[:2]:
        lines = [n for n in file.read_text().splitlines() if not n.startswith('#')]
        assert len(lines) <= 60, file.name


def test_unlabelled_images_make_fixmatch_and_its_twin(tmp_path: Path) -> None:
    data = write_folder(tmp_path / 'data', 4)
    write(data / 'unlabelled/deep/a.png', scene(7)[0])
    write(data / 'unlabelled/b.png', scene(8)[0])
    made = make(data, classes=('land', 'water'), name='mine')
    names = [path.name for path in made.files[:3]]
    assert names == ['mine_data.py', 'mine.py', 'mine_supervised.py']
    cfg, twin = (load_config(str(path)) for path in made.files[1:3])
    init_default_scope(cfg.default_scope)
    assert (cfg.model.type, twin.model.type) == (
        's5_mm.FixMatch',
        's5_mm.SemiBaseSegmentor',
    )
    assert DATASETS.build(cfg.train_dataloader.dataset).source_lengths == (3, 2)
    assert DATASETS.build(twin.train_dataloader.dataset).source_lengths == (3,)
    for config, batch in ((cfg, 16), (twin, 8)):
        assert config.train_dataloader.batch_size == batch
        assert sum(config.train_dataloader.sampler.shares) == batch
        assert config.train_cfg.max_iters == 600
        assert config.param_scheduler[1].end == 600
        assert config.param_scheduler[1].T_max == 550
        with torch.device('meta'):
            assert MODELS.build(config.model).num_classes == 2
    assert cfg.model.semi_train_cfg.burn_in == 1 / 3
    shutil.rmtree(data / 'unlabelled')
    make(data, name='mine', overwrite=True)
    assert not made.files[2].exists()  # nothing stays of the run that was there
    elsewhere = tmp_path / 'archive'
    write(elsewhere / 'c.png', scene(9)[0])
    made = make(data, unlabelled=elsewhere, name='other')
    unsup = load_config(str(made.files[1])).train_dataloader.dataset.sources.unsup
    assert unsup.data_root == f'{elsewhere}/'
    with pytest.raises(FileNotFoundError, match='--unlabelled: there is no folder'):
        make(data, unlabelled=tmp_path / 'no', name='third')


def test_the_folder_may_move(tmp_path: Path) -> None:
    data = write_folder(tmp_path / 'data', 4)
    write(data / 'unlabelled/b.png', scene(8)[0])
    made = make(data, classes=('land', 'water'))
    moved = data.rename(tmp_path / 'moved')
    cfg = load_config(str(made.files[1]), {'data_root': str(moved)})
    init_default_scope(cfg.default_scope)
    assert DATASETS.build(cfg.train_dataloader.dataset).source_lengths == (3, 1)


@pytest.mark.parametrize(('arch', 'dims'), [('b', 768), ('l', 1024)])
def test_larger_models_and_weights(tmp_path: Path, arch: str, dims: int) -> None:
    data = write_folder(tmp_path / 'data', 3)
    torch.save({}, tmp_path / 'mae.pth')
    weights = str(tmp_path / 'mae.pth')
    cfg = load_config(str(make(data, arch=arch, weights=weights).files[1]))
    init_default_scope(cfg.default_scope)
    assert cfg.model.segmentor.backbone.init_cfg.checkpoint == weights
    # What the weights were trained with, not what these images would give.
    assert cfg.model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert cfg.optim_wrapper.optimizer.lr == 5e-5
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[1].end == 1000
    with torch.device('meta'):
        assert MODELS.build(cfg.model).student.backbone.embed_dims == dims
    with pytest.raises(FileNotFoundError, match='--weights: there is no file no.pth'):
        make(data, weights='no.pth', name='x')
    (tmp_path / 'text.pth').write_text('hello')
    with pytest.raises(
        DamagedCheckpointError, match=r'text.pth: damaged, or no checkpoint'
    ):
        make(data, weights=str(tmp_path / 'text.pth'), name='x')
    assert not [*(tmp_path / 'own').glob('x*')]
    with pytest.raises(ValueError, match='--iters 50; expected 100 or more'):
        make(data, iters=50, name='x')


@pytest.mark.parametrize(
    ('values', 'given', 'label_map'),
    [
        ((0, 1), (), None),
        ((0, 1), ('land', 'water'), None),
        ((0, 255), (), {255: 1}),
        ((0, 255), ('land', 'water'), {255: 1}),
        ((0, 127), ('land', 'water'), {127: 1}),
        ((50, 100), ('land', 'water'), {50: 0, 100: 1}),
        ((1, 2), ('land', 'water'), {1: 0, 2: 1}),
        ((1, 0), ('land=1', 'water=0'), {0: 1, 1: 0}),
        ((0, 255), ('land=0', 'water=255'), {255: 1}),
    ],
)
def test_values_of_masks(
    tmp_path: Path, values: tuple, given: tuple, label_map: dict | None
) -> None:
    """Whatever the masks hold, the pipeline gives ids."""
    made = make(write_folder(tmp_path / 'data', 3, values=values), classes=given)
    assert made.classes.label_map == label_map
    assert made.classes.names == (
        ('land', 'water') if given else ('class_0', 'class_1')
    )
    dataset = opened(made, 'val')
    (sample,) = list(dataset)
    number = int(Path(sample['data_samples'].img_path).stem.split()[1])
    expected = scene(number)[1]
    np.testing.assert_array_equal(sample['data_samples'].gt_sem_seg.data[0], expected)


def test_ignored_values(tmp_path: Path) -> None:
    data = write_folder(tmp_path / 'data', 3, values=(0, 7))
    ids = np.full((64, 64), 3, np.uint8)
    ids[:9] = 255
    write(data / 'masks/tile 0.png', ids)
    made = make(data, classes=('land=0', 'water=7'), ignore=(3,))
    assert made.classes.label_map == {7: 1, 3: 255}
    with pytest.raises(ValueError, match=r'values 0, 3, 7, 255, --classes names 0, 7;'):
        make(data, classes=('land=0', 'water=7'), name='x')


def test_masks_in_colours(tmp_path: Path) -> None:
    """Refused with the line that works, and converted if asked for."""
    colours = ((190, 170, 120), (30, 80, 180))
    data = write_folder(tmp_path / 'data', 4, values=colours)
    with pytest.raises(
        ValueError, match=r'masks are in colours \(#beaa78 \d\d%, #1'
    ) as no:
        make(data, classes=('land', 'water'))
    assert '--classes NAME=#beaa78 NAME=#1e50b4 --convert-masks' in str(no.value)
    named = ('land=#beaa78', 'water=#1e50b4')
    with pytest.raises(
        ValueError, match=r'--convert-masks writes them as ids into .*/m'
    ):
        make(data, classes=named)
    assert not (data / 'masks_ids').exists()
    made = make(data, classes=named, convert_masks=True)
    for number in range(4):
        path = data / f'masks_ids/masks/tile {number}.png'
        stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(stored, scene(number)[1])
    dataset = opened(made, 'val')
    assert len(dataset) == 1
    assert dataset.metainfo['palette'] == [list(colour) for colour in colours]
    # A second look finds the same masks again.
    again = make(data, classes=named, convert_masks=True, overwrite=True)
    assert again.splits == made.splits


def test_splits(tmp_path: Path) -> None:
    names = [f'{n}' for n in range(10)]
    rare = [{0} for _ in names]
    rare[3] = rare[8] = {0, 1}
    for seed in range(5):
        parts = draw_split(names, rare, (80, 20), seed)
        assert parts == draw_split(names, rare, (80, 20), seed)
        assert sorted(parts['train'] + parts['val']) == names
        assert len(parts['val']) == 2
        # The rare class is in both.
        for part in parts.values():
            assert set(part) & {'3', '8'}
    three = draw_split(names, rare, (60, 20, 20))
    assert [len(three[split]) for split in ('train', 'val', 'test')] == [6, 2, 2]
    assert draw_split(names, rare, (80, 20), 1) != draw_split(names, rare, (80, 20), 2)
    assert [len(p) for p in draw_split(['a', 'b'], [{0}] * 2, (1, 99)).values()] == [
        1,
        1,
    ]
    with pytest.raises(ValueError, match='--split 80; expected the shares of training'):
        draw_split(names, rare, (80,))
    with pytest.raises(ValueError, match='--split 80 0; expected the shares'):
        draw_split(names, rare, (80, 0))
    with pytest.raises(
        ValueError, match=r'1 image\(s\) with masks; expected at least 2'
    ):
        draw_split(['a'], [{0}], (80, 20))
    made = make(write_folder(tmp_path / 'd', 5), split=(60, 20, 20), seed=3)
    assert [len(made.splits[s].names) for s in ('train', 'val', 'test')] == [3, 1, 1]


def test_alpha_and_grey_are_noted(tmp_path: Path) -> None:
    data = write_folder(tmp_path / 'data', 3, 'images/{}.png')
    image = scene(0)[0]
    write(data / 'images/tile 0.png', image[..., 0])
    alpha = cv2.cvtColor(scene(1)[0], cv2.COLOR_RGB2BGRA)
    assert cv2.imwrite(str(data / 'images/tile 1.png'), alpha)
    made = make(data, classes=('land', 'water'))
    assert made.notes == [
        '1 of 3 images have an alpha channel, which is left out',
        '1 of 3 images are grey, their channel is taken three times',
    ]
    train, val = opened(made), opened(made, 'val')
    shapes = {tuple(train.datasets[0][i]['inputs'].shape) for i in range(len(train))}
    assert shapes == {(3, 64, 64)}
    assert val[0]['inputs'].shape == (3, 64, 64)
