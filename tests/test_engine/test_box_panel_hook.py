"""Pictures of oriented boxes: of the right data set, image and boxes."""

import subprocess
import sys
import types

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData
from mmengine.visualization import Visualizer

from s5_mm.engine.hooks import BoxPanelHook, box_panel_hook
from s5_mm.registry import HOOKS

SIZE = 128
INFO = dict(
    ports=dict(classes=('ship',), palette=[[250, 200, 10]]),
    fields=dict(classes=('barn', 'tank'), palette=[[10, 240, 250], [250, 20, 200]]),
)
BOX = [60.0, 70.0, 50.0, 20.0, 0.4]


class _Dataset:
    def __init__(self, count, metainfo):
        self.count, self.metainfo = count, metainfo

    def __len__(self):
        return self.count


def _runner(folder, count=8, metainfo=None):
    metainfo = metainfo or dict(**INFO['ports'], datasets=INFO)
    loader = types.SimpleNamespace(dataset=_Dataset(count, metainfo))
    return types.SimpleNamespace(
        iter=40,
        visualizer=Visualizer(
            vis_backends=[dict(type='LocalVisBackend')], save_dir=str(folder / 'out')
        ),
        val_dataloader=loader,
        test_dataloader=loader,
    )


def _sample(folder, dataset, number, truth=True, label=0, score=0.9):
    path = folder / f'{dataset}_{number}.png'
    assert cv2.imwrite(str(path), np.full((SIZE, SIZE, 3), 90, np.uint8))
    meta = dict(img_path=str(path))
    if dataset:
        meta['dataset_name'] = dataset
    sample = BaseDataElement(metainfo=meta)
    found = dict(bboxes=torch.tensor([BOX]), labels=torch.tensor([label]))
    sample.pred_instances = InstanceData(scores=torch.tensor([score]), **found)
    sample.gt_instances = InstanceData(**found) if truth else InstanceData()
    sample.ignored_instances = InstanceData()
    return sample


def _pictures(folder):
    return {path.stem: path for path in (folder / 'out').rglob('*.png')}


def test_each_data_set_is_drawn_in_its_own_colours(tmp_path):
    hook = BoxPanelHook(draw=True, interval=1, tile_size=SIZE)
    samples = [_sample(tmp_path, name, i) for i, name in enumerate(INFO)]
    hook.before_test_epoch(None)
    hook.after_test_iter(_runner(tmp_path), 0, None, samples)
    pictures = _pictures(tmp_path)
    assert sorted(pictures) == ['fields_fields_1_2', 'ports_ports_0_1']
    for name, info in INFO.items():
        (path,) = (path for stem, path in pictures.items() if stem.startswith(name))
        image = cv2.imread(str(path))[..., ::-1].astype(int)
        near = np.abs(image - info['palette'][0]).max(axis=2) < 30
        assert near.sum() > 100
        foreign = INFO['fields' if name == 'ports' else 'ports']['palette'][0]
        assert not (np.abs(image - foreign).max(axis=2) < 30).any()


def test_panel_is_that_of_the_sample(tmp_path, monkeypatch):
    said = []

    def panel(image, truth, prediction, classes, palette, **settings):
        said.append((truth, prediction, classes, palette, settings))
        return image

    monkeypatch.setattr(box_panel_hook, 'detection_panel', panel)
    hook = BoxPanelHook(score_thr=0.2, draw=True, interval=1)
    sample = _sample(tmp_path, 'fields', 3, label=1)
    ignored = torch.tensor([[9.0, 9, 4, 2, 0]])
    sample.ignored_instances = InstanceData(bboxes=ignored, labels=torch.tensor([0]))
    bare = _sample(tmp_path, 'fields', 4, truth=False)
    hook.after_val_iter(_runner(tmp_path), 0, None, [sample, bare])
    (truth, prediction, classes, palette, settings), (missing, *_) = said
    assert np.allclose(truth.boxes, [BOX, [9, 9, 4, 2, 0]])
    assert truth.labels.tolist() == [1, -1]
    assert truth.scores is None
    assert np.allclose(prediction.boxes, [BOX])
    assert prediction.labels.tolist() == [1]
    assert np.allclose(prediction.scores, [0.9])
    assert (classes, palette) == tuple(INFO['fields'].values())
    assert settings == dict(
        score_thr=0.2, dataset='fields', caption='fields_3.png', tile_size=768
    )
    assert missing is None


def test_boxes_of_the_host_are_taken(tmp_path):
    boxes = pytest.importorskip('mmrotate.structures', reason='part of the extra det')
    sample = _sample(tmp_path, 'ports', 0)
    sample.gt_instances.bboxes = boxes.RotatedBoxes(torch.tensor([BOX]))
    hook = BoxPanelHook(draw=True, interval=1, tile_size=SIZE)
    found = hook._panel(sample, INFO['ports'])
    sample.gt_instances.bboxes = torch.tensor([BOX])
    assert np.array_equal(found, hook._panel(sample, INFO['ports']))


def test_a_single_data_set_and_how_many(tmp_path):
    runner = _runner(tmp_path, metainfo=INFO['ports'])
    hook = HOOKS.build(
        dict(type='s5_mm.BoxPanelHook', draw=True, interval=2, tile_size=32)
    )
    samples = [_sample(tmp_path, '', i) for i in range(12)]
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0, None, samples)
    assert sorted(_pictures(tmp_path)) == [f'val__{i}_40' for i in (0, 2, 4, 6)]


def test_nothing_is_drawn_unless_asked_for(tmp_path):
    hook = BoxPanelHook()
    hook.after_val_iter(_runner(tmp_path), 0, None, [object()])
    hook.after_test_iter(_runner(tmp_path), 0, None, [object()])
    assert not _pictures(tmp_path)


def test_geotiff_is_drawn(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    path = tmp_path / 'scene.tif'
    bands = np.stack([np.full((SIZE, SIZE), 50 + i, np.uint8) for i in range(3)])
    profile = dict(driver='GTiff', width=SIZE, height=SIZE, count=3, dtype='uint8')
    with rasterio.open(path, 'w', photometric='RGB', **profile) as file:
        file.write(bands)
    sample = _sample(tmp_path, 'ports', 0, score=0.1)
    sample.set_metainfo(dict(img_path=str(path)))
    hook = BoxPanelHook(draw=True, tile_size=SIZE)
    picture = hook._panel(sample, INFO['ports'])
    top = 8 + 14 + 2
    tile = picture[top : top + SIZE, 8 + SIZE + 8 :][:, :SIZE]
    assert np.array_equal(tile, bands.transpose(1, 2, 0))


def test_wrong_classes_and_palettes_are_refused(tmp_path):
    hook = BoxPanelHook(draw=True, interval=1, tile_size=32)
    sample = _sample(tmp_path, 'ports', 0, label=1)
    with pytest.raises(ValueError, match=r'ports_0\.png: labels: \[1\] found, the'):
        hook.after_val_iter(_runner(tmp_path), 0, None, [sample])
    info = dict(fields=dict(INFO['fields'], palette=[[0, 0, 0]]))
    runner = _runner(tmp_path, metainfo=dict(datasets=info))
    sample = _sample(tmp_path, 'fields', 1)
    with pytest.raises(ValueError, match=r'fields_1\.png: palette: 1 colours found'):
        hook.after_val_iter(runner, 0, None, [sample])
    info = dict(fields=dict(palette=[[0, 0, 0]]))
    runner = _runner(tmp_path, metainfo=dict(datasets=info))
    said = "data set 'fields' has no classes, which its pictures need"
    with pytest.raises(ValueError, match=said):
        hook.after_val_iter(runner, 0, None, [sample])
    with pytest.raises(ValueError, match=r"dataset_name='ports' found, the loader"):
        hook.after_val_iter(runner, 0, None, [_sample(tmp_path, 'ports', 2)])


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r'score_thr=1\.5, expected 0 to 1'):
        BoxPanelHook(score_thr=1.5)
    with pytest.raises(ValueError, match='interval=0, expected at least 1'):
        BoxPanelHook(interval=0)


def test_the_packages_of_the_hosts_tasks_are_not_imported():
    script = (
        'import sys; import s5_mm.engine.hooks.box_panel_hook; '
        'import s5_mm.datasets.transforms.rotate90; '
        "print(sorted({'mmdet', 'mmrotate', 'mmseg'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', script], capture_output=True, text=True
    )
    assert done.stdout.strip().splitlines()[-1] == '[]', done.stderr[-2000:]
