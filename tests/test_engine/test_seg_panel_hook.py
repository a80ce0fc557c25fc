"""Pictures of predictions: the right colours, tiles, captions and files."""

import types
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmengine.visualization import Visualizer
from mmseg.structures import SegDataSample

from s5_mm.engine.hooks import SegPanelHook, seg_panel_hook
from s5_mm.registry import HOOKS
from s5_mm.visualization import categorical_palette, colorize, grid

from ..support.distributed import run_ranks

SIZE = 64
INFO = dict(
    potsdam=dict(classes=('road', 'car'), palette=[[200, 10, 10], [10, 200, 10]]),
    loveda=dict(
        classes=('barn', 'lake', 'wood'),
        palette=[[10, 10, 200], [90, 0, 90], [0, 90, 90]],
    ),
)
META = dict(**INFO['potsdam'], datasets=INFO)


class _Visualizer:
    def __init__(self):
        self.images, self.windows = {}, []
        self._vis_backends = {}

    def add_image(self, name, image, step):
        assert (name, step) not in self.images
        self.images[name, step] = image

    def show(self, image, win_name, wait_time):
        self.windows.append((win_name, wait_time, image))


def _runner(count, metainfo=META, visualizer=None, iteration=40):
    loader = types.SimpleNamespace(dataset=_Sized(count, metainfo))
    return types.SimpleNamespace(
        iter=iteration,
        visualizer=visualizer or _Visualizer(),
        val_dataloader=loader,
        test_dataloader=loader,
    )


class _Sized:
    def __init__(self, count, metainfo):
        self.count, self.metainfo = count, metainfo

    def __len__(self):
        return self.count


def _image(folder, dataset, number, size=SIZE):
    path = Path(folder) / (dataset or '') / f'{number}.png'
    path.parent.mkdir(exist_ok=True, parents=True)
    image = np.full((size, size, 3), 100 + number, np.uint8)
    assert cv2.imwrite(str(path), image)
    return path, image


def _sample(folder, dataset, number, truth=True, **fields):
    """The upper half is class 0, the lower class 1; truth has an ignored corner."""
    path, _ = _image(folder, dataset, number)
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.long)
    mask[:, SIZE // 2 :] = 1
    meta = dict(img_path=str(path), ori_shape=(SIZE, SIZE))
    if dataset:
        meta['dataset_name'] = dataset
    sample = SegDataSample(metainfo=meta, pred_sem_seg=PixelData(data=mask))
    if truth:
        there = torch.zeros(1, SIZE, SIZE, dtype=torch.uint8)
        there[:, :, SIZE // 2 :] = 1
        there[:, :8, :8] = 255
        sample.gt_sem_seg = PixelData(data=there)
    for name, data in fields.items():
        setattr(sample, name, PixelData(data=data))
    return sample


def _test(hook, samples, runner=None, batch=2):
    runner = runner or _runner(len(samples))
    hook.before_test_epoch(runner)
    for start in range(0, len(samples), batch):
        hook.after_test_iter(runner, start, None, samples[start : start + batch])
    return runner.visualizer.images


def _tiles(picture, columns, size=SIZE):
    """Cut the tiles out of a picture of one row."""
    line = max(size // 9, 12)
    top = 8 + line + 2
    assert picture.shape[1] == 8 + columns * (size + 8)
    return [
        picture[top : top + size, 8 + i * (size + 8) :][:, :size]
        for i in range(columns)
    ]


def test_each_data_set_is_drawn_in_its_own_colours(tmp_path):
    samples = [_sample(tmp_path, name, i) for i, name in enumerate(INFO)]
    images = _test(SegPanelHook(draw=True, interval=1, tile_size=SIZE), samples)
    assert list(images) == [('potsdam_0', 1), ('loveda_1', 2)]
    for i, (name, info) in enumerate(INFO.items()):
        image, truth, prediction = _tiles(images[f'{name}_{i}', i + 1], 3)
        assert (image == 100 + i).all()
        for tile, field in ((truth, 'gt_sem_seg'), (prediction, 'pred_sem_seg')):
            mask = samples[i].get(field).data[0].numpy()
            assert np.array_equal(tile, colorize(mask, info['palette']))


def test_without_a_palette_colours_can_be_told_apart(tmp_path):
    bare = {name: dict(classes=info['classes']) for name, info in INFO.items()}
    sample = _sample(tmp_path, 'loveda', 0)
    hook = SegPanelHook(draw=True, interval=1, tile_size=SIZE)
    images = _test(hook, [sample], _runner(1, dict(datasets=bare)))
    prediction = _tiles(images['loveda_0', 1], 3)[2]
    mask = sample.pred_sem_seg.data[0].numpy()
    assert np.array_equal(prediction, colorize(mask, categorical_palette(3)))


def test_without_truth_there_are_two_tiles(tmp_path):
    images = _test(
        SegPanelHook(draw=True, interval=1, tile_size=SIZE),
        [_sample(tmp_path, 'loveda', 0, truth=False)],
    )
    image, prediction = _tiles(images['loveda_0', 1], 2)
    assert (image == 100).all()
    assert prediction[0, 0].tolist() == INFO['loveda']['palette'][0]
    assert prediction[-1, 0].tolist() == INFO['loveda']['palette'][1]


def test_a_single_data_set_needs_no_name(tmp_path):
    runner = _runner(1, INFO['loveda'])
    hook = SegPanelHook(draw=True, interval=1, tile_size=SIZE)
    images = _test(hook, [_sample(tmp_path, '', 7)], runner)
    (picture,) = (images[key] for key in [('test_7', 1)])
    assert _tiles(picture, 3)[2][0, 0].tolist() == INFO['loveda']['palette'][0]
    hook.after_val_iter(runner, 0, None, [_sample(tmp_path, '', 7)])
    assert ('val_7', 40) in images


def test_caption_has_the_figures_of_the_image(tmp_path, monkeypatch):
    captions = []
    monkeypatch.setattr(
        seg_panel_hook,
        'prediction_panel',
        lambda *arguments, **_: (
            captions.append((arguments[2], arguments[5])) or grid([])
        ),
    )
    random = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 3, (1, SIZE, SIZE), generator=random)
    guess = torch.randint(0, 2, (1, SIZE, SIZE), generator=random)
    truth[:, :9] = 255
    fields = dict(gt_sem_seg=truth, pred_sem_seg=guess)
    ignored = torch.full((1, SIZE, SIZE), 255)
    samples = [
        _sample(tmp_path, 'loveda', 0, **fields),
        _sample(tmp_path, 'loveda', 1, gt_sem_seg=ignored),
        _sample(tmp_path, 'loveda', 2, truth=False),
    ]
    _test(SegPanelHook(draw=True, interval=1), samples)
    ious, right, count = [], 0, 0
    for k in range(3):
        both = either = 0
        for t, p in zip(
            truth.flatten().tolist(), guess.flatten().tolist(), strict=True
        ):
            if t != 255:
                both += t == k and p == k
                either += t == k or p == k
        ious.append(both / either)
        right += both
    count = int((truth != 255).sum())
    figures = f'mIoU {100 * np.mean(ious):.1f}  OA {100 * right / count:.1f}'
    three = ['image', 'truth', 'prediction']
    assert captions == [
        (three, [f'0.png  {figures}']),
        (three, ['1.png  no labelled pixel']),
        (['image', 'prediction'], ['2.png']),
    ]


def test_every_how_many_of_each_data_set(tmp_path):
    samples = [_sample(tmp_path, name, i) for i in range(7) for name in INFO]
    drawn = _test(SegPanelHook(draw=True, interval=3, tile_size=32), samples, batch=3)
    assert [name for name, _ in drawn] == [
        f'{name}_{i}' for i in (0, 3, 6) for name in INFO
    ]


def test_validation_draws_the_first_four_of_each_every_time(tmp_path):
    samples = [_sample(tmp_path, name, i) for i in range(6) for name in INFO]
    for most, hook in (
        (4, SegPanelHook(draw=True, interval=1, tile_size=32)),
        (1, SegPanelHook(draw=True, interval=1, max_per_dataset=1, tile_size=32)),
    ):
        runner = _runner(len(samples))
        for runner.iter in (10, 20):
            hook.before_val_epoch(runner)
            for i in range(0, len(samples), 4):
                hook.after_val_iter(runner, i, None, samples[i : i + 4])
        assert list(runner.visualizer.images) == [
            (f'{name}_{i}', step)
            for step in (10, 20)
            for i in range(most)
            for name in INFO
        ]


def test_limit_holds_in_a_test_where_it_is_set(tmp_path):
    samples = [_sample(tmp_path, 'potsdam', i) for i in range(6)]
    drawn = SegPanelHook(draw=True, interval=1, tile_size=32), samples
    assert len(_test(*drawn)) == 6
    hook = SegPanelHook(draw=True, interval=1, max_per_dataset=2, tile_size=32)
    assert len(_test(hook, samples)) == 2


def test_nothing_is_drawn_unless_asked_for():
    hook = HOOKS.build(dict(type='s5_mm.SegPanelHook'))
    sample = SegDataSample(metainfo=dict(img_path='/there/is/none.png'))
    runner = _runner(1)
    hook.after_val_iter(runner, 0, None, [sample])
    hook.after_test_iter(runner, 0, None, [sample])
    assert not runner.visualizer.images


def test_window(tmp_path):
    runner = _runner(1)
    hook = SegPanelHook(draw=True, interval=1, show=True, wait_time=0.5)
    images = _test(hook, [_sample(tmp_path, 'potsdam', 0)], runner)
    ((name, wait, picture),) = runner.visualizer.windows
    assert (name, wait) == ('potsdam_0', 0.5)
    assert np.array_equal(picture, images['potsdam_0', 1])


def test_grey_images_and_alpha_are_drawn(tmp_path):
    samples = []
    for i, channels in enumerate((1, 4)):
        sample = _sample(tmp_path, 'potsdam', i)
        shape = (SIZE, SIZE) if channels == 1 else (SIZE, SIZE, channels)
        assert cv2.imwrite(sample.img_path, np.full(shape, 77, np.uint8))
        samples.append(sample)
    images = _test(SegPanelHook(draw=True, interval=1, tile_size=SIZE), samples)
    for picture in images.values():
        assert (_tiles(picture, 3)[0] == 77).all()


def test_geotiff_is_drawn(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    sample = _sample(tmp_path, 'potsdam', 0)
    path = tmp_path / 'scene.tif'
    bands = np.stack([np.full((SIZE, SIZE), 50 + i, np.uint8) for i in range(3)])
    profile = dict(driver='GTiff', width=SIZE, height=SIZE, count=3, dtype='uint8')
    with rasterio.open(path, 'w', photometric='RGB', **profile) as file:
        file.write(bands)
    sample.set_metainfo(dict(img_path=str(path)))
    images = _test(SegPanelHook(draw=True, interval=1, tile_size=SIZE), [sample])
    tile = _tiles(images['potsdam_scene', 1], 3)[0]
    assert np.array_equal(tile, bands.transpose(1, 2, 0))


def test_labels_that_are_no_class_are_hatched_as_ignored(tmp_path):
    sample = _sample(tmp_path, 'potsdam', 0, gt_sem_seg=torch.full((1, SIZE, SIZE), 5))
    images = _test(SegPanelHook(draw=True, interval=1, tile_size=SIZE), [sample])
    assert set(np.unique(_tiles(images['potsdam_0', 1], 3)[1])) == {150, 214}


def _rank(rank, world, folder, count):
    samples = [_sample(folder, 'potsdam', i) for i in range(count)]
    indices = [i % count for i in range(rank, count + count % world, world)]
    visualizer = Visualizer(
        vis_backends=[dict(type='LocalVisBackend')], save_dir=f'{folder}/out{world}'
    )
    hook = SegPanelHook(draw=True, interval=1, tile_size=32)
    runner = _runner(count, visualizer=visualizer)
    for start in range(0, len(indices), 2):
        batch = [samples[i] for i in indices[start : start + 2]]
        hook.after_test_iter(runner, start, None, batch)
    return len(indices)


def test_two_processes_write_the_pictures_of_one(tmp_path):
    (tmp_path / 'potsdam').mkdir()
    for i in range(5):
        _image(tmp_path, 'potsdam', i)
    files = {}
    for world in (1, 2):
        drawn = run_ranks(_rank, world, tmp_path, str(tmp_path), 5)
        assert drawn == {1: [5], 2: [3, 3]}[world]
        files[world] = {
            path.name: path.read_bytes()
            for path in (tmp_path / f'out{world}').rglob('*.png')
        }
    assert sorted(files[1]) == [f'potsdam_{i}_{i + 1}.png' for i in range(5)]
    assert files[1] == files[2]


def test_unknown_data_set_is_refused(tmp_path):
    sample = _sample(tmp_path, 'oem', 0)
    said = r"0\.png: dataset_name='oem' found, the loader has \['potsdam', 'loveda'\]"
    with pytest.raises(ValueError, match=said):
        _test(SegPanelHook(draw=True), [sample])


def test_classes_are_needed(tmp_path):
    runner = _runner(1, dict(datasets=dict(potsdam=dict(palette=[[1, 2, 3]]))))
    said = "metainfo of the data set 'potsdam' has no classes, which its pictures need"
    with pytest.raises(ValueError, match=said):
        _test(SegPanelHook(draw=True), [_sample(tmp_path, 'potsdam', 0)], runner)


@pytest.mark.parametrize('field', ['pred_sem_seg', 'gt_sem_seg'])
def test_mask_of_another_size_is_refused(tmp_path, field):
    sample = _sample(tmp_path, 'potsdam', 0, truth=False)
    size = SIZE // 2
    other = SegDataSample(metainfo=sample.metainfo)
    other.pred_sem_seg = sample.pred_sem_seg
    if field == 'pred_sem_seg':
        other = SegDataSample(metainfo=sample.metainfo)
    setattr(other, field, PixelData(data=torch.zeros(1, size, size, dtype=torch.long)))
    with pytest.raises(ValueError, match=rf'0\.png: {field} has \(32, 32\) px, the im'):
        _test(SegPanelHook(draw=True), [other])


def test_predicted_id_beyond_the_classes_is_refused(tmp_path):
    ids = torch.full((1, SIZE, SIZE), 2)
    sample = _sample(tmp_path, 'potsdam', 0, pred_sem_seg=ids)
    with pytest.raises(
        ValueError, match=r'class id 2 was predicted, .* classes 0 to 1'
    ):
        _test(SegPanelHook(draw=True), [sample])


def test_interval_must_be_positive():
    with pytest.raises(ValueError, match='interval=0, expected at least 1'):
        SegPanelHook(interval=0)
