"""Networks of configs see windows as the test command sees images."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from s5_mm.checkpoints import CheckpointError
from s5_mm.cli.config import load_config
from s5_mm.inference import load_network, segment_raster
from s5_mm.registry import MODELS
from s5_mm.utils.routing import RoutingError
from s5_mm.visualization import categorical_palette

from ..test_models.toys import toy_segmentor
from .rasters import CLASSES, GRID, PALETTE, PROTOCOL, draw_pixels, write_tiff

rasterio = pytest.importorskip('rasterio')
ROOT = Path(__file__).resolve().parents[2]
MEAN, STD = [120.0, 110.0, 100.0], [50.0, 60.0, 70.0]


def _config(kind='plain', loader='s5_mm.LoadImage', **changes):
    model = toy_segmentor(num_classes=3)
    model.test_cfg = dict(PROTOCOL)
    swap = loader == 'LoadImageFromFile'
    preprocessor = dict(type='SegDataPreProcessor', mean=MEAN, std=STD, bgr_to_rgb=swap)
    if kind == 'semi':
        model = dict(type='s5_mm.SemiBaseSegmentor', segmentor=model)
    elif kind == 'multi':
        head = dict(model.decode_head)
        del head['num_classes']
        one = dict(num_classes=3, test_cfg=PROTOCOL)
        model = dict(
            type='s5_mm.MultiDatasetSegmentor',
            backbone=dict(type='s5_mm.ViT', **TINY),
            decode_head=dict(head, in_channels=16),
            datasets=dict(a=one, b=dict(one, num_classes=4)),
        )
        preprocessor = dict(
            type='s5_mm.MultiDatasetDataPreprocessor', mean=MEAN, std=STD
        )
    model['data_preprocessor'] = preprocessor
    data = dict(
        metainfo=dict(classes=CLASSES, palette=PALETTE),
        pipeline=[dict(type=loader), dict(type='PackSegInputs')],
    )
    if kind == 'multi':
        data['sources'] = dict(a=dict(metainfo=data.pop('metainfo')))
    cfg = Config(
        dict(
            default_scope='mmseg',
            model=model,
            test_dataloader=dict(dataset=data),
        )
    )
    cfg.merge_from_dict(changes)
    return cfg


TINY = dict(
    arch=dict(embed_dims=16, num_layers=1, num_heads=1),
    img_size=64,
    out_indices=(0,),
    with_fpn=False,
    drop_path_rate=0.0,
)


def _save(path, cfg, **meta):
    torch.manual_seed(0)
    from mmengine.registry import init_default_scope

    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return model.eval(), str(path)


def _by_test_command(model, pixels):
    """Labels of an image (H, W, 3), as the test loop makes them."""
    size = pixels.shape[:2]
    meta = dict(img_shape=size, ori_shape=size, dataset_name='a')
    data = dict(
        inputs=[torch.from_numpy(pixels).permute(2, 0, 1)],
        data_samples=[SegDataSample(metainfo=meta)],
    )
    return model.test_step(data)[0].pred_sem_seg.data[0].numpy()


@pytest.mark.parametrize('kind', ['plain', 'semi', 'multi'])
def test_labels_are_those_of_the_test_command(tmp_path, kind):
    cfg = _config(kind)
    model, checkpoint = _save(tmp_path / 'a.pth', cfg)
    network = load_network(cfg, checkpoint, 'a' if kind == 'multi' else None)
    assert (network.classes, network.palette) == (CLASSES, PALETTE)
    source, pixels = str(tmp_path / 'in.png'), draw_pixels(80, 100)
    cv2.imwrite(source, pixels[..., ::-1])
    segment_raster(network, source, str(tmp_path / 'out.tif'))
    want = _by_test_command(model, pixels)
    with rasterio.open(tmp_path / 'out.tif') as file:
        got = file.read(1)
    # Batches of another size may round otherwise; a label differs where two tie.
    assert (got == want).mean() > 0.999
    assert len(np.unique(want)) > 1


def test_channels_are_those_the_pipeline_loads(tmp_path):
    windows = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)
    want = (windows - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(
        3, 1, 1
    )
    for loader in ('s5_mm.LoadImage', 'LoadImageFromFile'):
        cfg = _config(loader=loader)
        _, checkpoint = _save(tmp_path / 'a.pth', cfg)
        torch.testing.assert_close(load_network(cfg, checkpoint).prepare(windows), want)


def test_classes_of_the_checkpoint_come_first(tmp_path):
    names = dict(classes=('x', 'y', 'z'), palette=[[1, 1, 1], [2, 2, 2], [3, 3, 3]])
    cfg = _config()
    _, checkpoint = _save(tmp_path / 'a.pth', cfg, dataset_meta=names)
    network = load_network(cfg, checkpoint, windows=((32, 32), (16, 16)))
    assert network.classes == names['classes']
    assert network.palette == names['palette']
    assert network.test_cfg['crop_size'] == (32, 32)
    assert network.test_cfg['stride'] == (16, 16)


@pytest.mark.parametrize('palette', [{}, dict(palette=[]), dict(palette=None)])
def test_without_a_palette_colours_can_be_told_apart(tmp_path, palette):
    cfg = _config()
    names = dict(classes=('x', 'y', 'z'), **palette)
    _, checkpoint = _save(tmp_path / 'a.pth', cfg, dataset_meta=names)
    assert load_network(cfg, checkpoint).palette == categorical_palette(3)


@pytest.mark.parametrize(
    ('kind', 'changes', 'dataset', 'error', 'message'),
    [
        ('multi', {}, None, RoutingError, r"no data set None.*\['a', 'b'\]"),
        (
            'plain',
            {},
            'a',
            RoutingError,
            '--dataset a for EncoderDecoder, which',
        ),
        ('multi', {}, 'b', ValueError, 'predicts 4 classes.* name 0'),
        (
            'plain',
            {'model.test_cfg.mode': 'whole'},
            None,
            ValueError,
            "mode is 'whole', large images",
        ),
        (
            'plain',
            {'test_dataloader.dataset.pipeline.0.type': 'Resize'},
            None,
            ValueError,
            r"pipeline has \['Resize', 'PackSegInputs'\]",
        ),
        (
            'plain',
            {'model.data_preprocessor.test_cfg': dict(size=(64, 64))},
            None,
            ValueError,
            'test_cfg=.*pads images to one size',
        ),
    ],
)
def test_configs_that_cannot_be_used(tmp_path, kind, changes, dataset, error, message):
    cfg = _config(kind, **changes)
    _, checkpoint = _save(tmp_path / 'a.pth', cfg)
    with pytest.raises(error, match=message):
        load_network(cfg, checkpoint, dataset)


@pytest.mark.parametrize('kind', ['plain', 'semi'])
def test_padding_to_a_divisor(tmp_path, kind):
    pad = {'model.data_preprocessor.test_cfg': dict(size_divisor=16)}
    cfg = _config(kind, **pad)
    model, checkpoint = _save(tmp_path / 'a.pth', cfg)
    network = load_network(cfg, checkpoint)
    plain = load_network(_config(kind), checkpoint)
    for height, width in ((64, 64), (50, 40)):
        windows = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
        padded = F.pad(plain.prepare(windows), (0, -width % 16, 0, -height % 16))
        ready = network.prepare(windows)
        assert ready.equal(padded)
        metas = [
            [dict(img_shape=size)] * 2
            for size in (padded.shape[-2:], windows.shape[-2:])
        ]
        with torch.no_grad():
            want = plain.predict(padded, metas[0])[..., :height, :width]
            assert network.predict(ready, metas[1]).equal(want)
    # An image that is smaller than a window.
    pixels = draw_pixels(50, 40)
    source = write_tiff(tmp_path / 'in.tif', pixels, **GRID)
    segment_raster(network, source, str(tmp_path / 'out.tif'))
    want = _by_test_command(model, pixels)
    with rasterio.open(tmp_path / 'out.tif') as file:
        assert (file.read(1) == want).mean() > 0.999
    assert len(np.unique(want)) > 1


def test_configs_of_pre_training_are_accepted(tmp_path):
    cfg = load_config(str(ROOT / 'configs/s4p/vit-t_dubai.py'))
    _, checkpoint = _save(tmp_path / 'a.pth', cfg)
    network = load_network(cfg, checkpoint, windows=((32, 32), (24, 24)))
    source = write_tiff(tmp_path / 'in.tif', draw_pixels(30, 70), **GRID)
    segment_raster(network, source, str(tmp_path / 'out.tif'))
    with rasterio.open(tmp_path / 'out.tif') as file:
        assert file.read(1).max() < len(network.classes)


def test_checkpoint_of_a_backbone(tmp_path):
    cfg = _config()
    model, _ = _save(tmp_path / 'a.pth', cfg)
    part = {k: v for k, v in model.state_dict().items() if 'decode_head' not in k}
    torch.save(dict(state_dict=part), tmp_path / 'part.pth')
    with pytest.raises(CheckpointError, match=r'part\.pth: .*decode_head'):
        load_network(cfg, str(tmp_path / 'part.pth'))


def test_command(tmp_path, monkeypatch, capsys):
    from runpy import run_path

    cfg = _config()
    _, checkpoint = _save(tmp_path / 'a.pth', cfg)
    cfg.dump(tmp_path / 'a.py')
    source = write_tiff(tmp_path / 'in.tif', draw_pixels(80, 90), **GRID)
    tool = os.path.join(os.path.dirname(__file__), '../../tools/segment_raster.py')
    line = [tool, str(tmp_path / 'a.py'), checkpoint, source, str(tmp_path / 'o.tif')]
    monkeypatch.setattr(sys, 'argv', [*line, '--crop-size', '64', '64'])
    with pytest.raises(SystemExit):
        run_path(tool, run_name='__main__')
    assert '--crop-size and --stride go together' in capsys.readouterr().err
    monkeypatch.setattr(sys, 'argv', line)
    run_path(tool, run_name='__main__')
    screen = capsys.readouterr()
    assert 'segment: 4/4 windows' in screen.err
    assert screen.out.endswith(f'written: {tmp_path / "o.tif"}\n')
    with rasterio.open(tmp_path / 'o.tif') as file:
        assert (file.shape, file.transform) == ((80, 90), GRID['transform'])
        want = file.read(1)
    # The same in 11 bits, with a fourth band that is no alpha.
    deep = np.dstack([draw_pixels(80, 90), np.zeros((80, 90), np.uint8)])
    write_tiff(source, deep.astype(np.uint16) * 8, photometric='RGB', alpha='yes')
    options = ['--sample-range', '0', '2040', '--ignore-alpha']
    monkeypatch.setattr(sys, 'argv', [*line, *options])
    run_path(tool, run_name='__main__')
    with rasterio.open(tmp_path / 'o.tif') as file:
        np.testing.assert_array_equal(file.read(1), want)


def test_range_is_that_of_the_config(tmp_path):
    cfg = _config()
    _, checkpoint = _save(tmp_path / 'a.pth', cfg)
    assert load_network(cfg, checkpoint).sample_range is None
    cfg.test_dataloader.dataset.pipeline[0].sample_range = [0, 2047]
    assert load_network(cfg, checkpoint).sample_range == (0, 2047)
    cfg.test_dataloader.dataset.pipeline[0].sample_range = [5]
    with pytest.raises(ValueError, match='LoadImage: sample_range=.*two integers'):
        load_network(cfg, checkpoint)
