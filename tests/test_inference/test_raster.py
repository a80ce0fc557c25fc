"""Labels of a raster lie where its pixels lie, and appear whole or not at all."""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from s5_mm.checkpoints import CheckpointError
from s5_mm.datasets.image_header import ImageError
from s5_mm.inference import WindowNetwork, load_network, segment_raster
from s5_mm.registry import MODELS
from s5_mm.utils.config import load_config
from s5_mm.utils.routing import RoutingError

from ..test_models.toys import toy_segmentor

rasterio = pytest.importorskip('rasterio')
GroundControlPoint = pytest.importorskip('rasterio.control').GroundControlPoint

ROOT = Path(__file__).resolve().parents[2]
GRID = dict(crs='EPSG:32652', transform=rasterio.Affine(10, 0, 3e5, 0, -10, 4e6))
CLASSES, PALETTE = ('dark', 'middle', 'bright'), [[9, 8, 7], [0, 200, 0], [255, 0, 1]]
PROTOCOL = dict(mode='slide', crop_size=(64, 64), stride=(48, 48))


def _network(delay=0.0):
    """Labels are the third of the range in which the red channel is."""

    def predict(images, metas):
        time.sleep(delay)
        centres = torch.tensor([40.0, 128.0, 215.0]).reshape(1, 3, 1, 1)
        return -(images[:, :1] - centres).abs()

    return WindowNetwork(predict, lambda x: x.float(), PROTOCOL, 0.3, CLASSES, PALETTE)


def _pixels(height=700, width=530, channels=3):
    return np.random.default_rng(0).integers(
        0, 256, (height, width, channels), dtype=np.uint8
    )


def _write_tiff(path, pixels, **profile):
    height, width, count = pixels.shape
    options = dict(driver='GTiff', dtype=pixels.dtype, count=count, **profile)
    with rasterio.open(path, 'w', height=height, width=width, **options) as file:
        file.write(pixels.transpose(2, 0, 1))
    return str(path)


def _want(pixels):
    distance = np.abs(pixels[..., :1].astype(float) - [40, 128, 215])
    return distance.argmin(-1)


def test_georeference_palette_and_tiles(tmp_path):
    pixels, shown = _pixels(), []
    source = _write_tiff(tmp_path / 'in.tif', pixels, tiled=True, **GRID)
    out = tmp_path / 'deep' / 'out.tif'
    segment_raster(_network(), source, str(out), progress=lambda *a: shown.append(a))
    with rasterio.open(out) as file:
        assert file.crs == GRID['crs']
        assert file.transform == GRID['transform']
        assert file.dtypes == ('uint8',)
        assert (file.count, file.nodata) == (1, 255)
        assert file.block_shapes == [(512, 512)]
        assert file.compression.name == 'deflate'
        colours = file.colormap(1)
        assert [list(colours[i][:3]) for i in range(3)] == PALETTE
        assert tuple(json.loads(file.tags(1)['classes'])) == CLASSES
        np.testing.assert_array_equal(file.read(1), _want(pixels))
    assert shown[-1] == (15 * 11, 15 * 11)
    assert shown == sorted(shown)
    assert os.listdir(out.parent) == ['out.tif']


def test_ground_control_points(tmp_path):
    points = [
        GroundControlPoint(row, col, x=col * 2.0, y=row * 3.0)
        for row, col in ((0, 0), (0, 60), (60, 0))
    ]
    source = str(tmp_path / 'in.tif')
    profile = dict(driver='GTiff', dtype='uint8', count=3, height=70, width=80)
    with rasterio.open(source, 'w', **profile) as file:
        file.write(_pixels(70, 80).transpose(2, 0, 1))
        file.gcps = (points, 'EPSG:4326')
    segment_raster(_network(), source, str(tmp_path / 'out.tif'))
    with rasterio.open(tmp_path / 'out.tif') as file:
        got, system = file.gcps
        assert system == 'EPSG:4326'
        assert [(p.row, p.col, p.x, p.y) for p in got] == [
            (p.row, p.col, p.x, p.y) for p in points
        ]


@pytest.mark.parametrize('kind', ['png', 'jpg', 'grey.png'])
def test_images_without_coordinates(tmp_path, kind):
    source = str(tmp_path / f'in.{kind}')
    pixels = np.full((40, 300, 3), 20, np.uint8)
    pixels[:, 100:200], pixels[:, 200:] = 130, 230
    cv2.imwrite(source, pixels[..., 0] if 'grey' in kind else pixels)
    segment_raster(_network(), source, str(tmp_path / 'out.tif'))
    with rasterio.open(tmp_path / 'out.tif') as file:
        assert file.crs is None
        assert file.transform.is_identity
        got = file.read(1)
    assert (got[:, 5:95] == 0).all()
    assert (got[:, 105:195] == 1).all()
    assert (got[:, 205:] == 2).all()


@pytest.mark.parametrize('kind', ['nodata', 'alpha.tif', 'alpha.png'])
def test_pixels_without_data(tmp_path, kind):
    pixels = _pixels(90, 100, 3)
    pixels[pixels == 7] = 8
    hole = np.zeros((90, 100), bool)
    hole[10:80, 20:50] = True
    pixels[hole] = 7
    source = str(tmp_path / 'in')
    if kind == 'nodata':
        _write_tiff(source, pixels, nodata=7, **GRID)
    else:
        four = np.dstack([pixels, np.where(hole, 0, 255).astype(np.uint8)])
        if kind == 'alpha.tif':
            _write_tiff(source, four, photometric='RGB', alpha='yes', **GRID)
        else:
            cv2.imwrite(source + '.png', four[..., [2, 1, 0, 3]])
            source += '.png'
    segment_raster(_network(), source, str(tmp_path / 'out.tif'))
    with rasterio.open(tmp_path / 'out.tif') as file:
        got = file.read(1)
    np.testing.assert_array_equal(got == 255, hole)
    np.testing.assert_array_equal(got[~hole], _want(pixels)[~hole])


# -- what goes wrong ------------------------------------------------------------------
def test_killed_writer_leaves_the_old_file(tmp_path):
    source = _write_tiff(tmp_path / 'in.tif', _pixels(2000, 80))
    out = tmp_path / 'out.tif'
    out.write_bytes(b'old')
    child = os.fork()
    if not child:
        try:
            segment_raster(_network(delay=0.2), source, str(out))
        finally:
            os._exit(0)
    while not list(tmp_path.glob('out.tif.tmp-*')):
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert out.read_bytes() == b'old'
    segment_raster(_network(), source, str(out))
    with rasterio.open(out) as file:
        assert file.shape == (2000, 80)


def test_full_disk_leaves_the_old_file(tmp_path):
    source = _write_tiff(tmp_path / 'in.tif', _pixels(1100, 530))
    out = tmp_path / 'out.tif'
    out.write_bytes(b'old')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(OSError, match=r'out\.tif: .*(written|disk)'):
            segment_raster(_network(), source, str(out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(os.listdir(tmp_path)) == ['in.tif', 'out.tif']
    assert out.read_bytes() == b'old'


def test_input_that_cannot_be_used(tmp_path):
    good = _write_tiff(tmp_path / 'in.tif', _pixels(90, 80), **GRID)
    out = str(tmp_path / 'out.tif')
    with pytest.raises(ImageError, match=r'in\.tif: is the output too'):
        segment_raster(_network(), good, good)
    with pytest.raises(ImageError, match=r'absent\.tif: the file cannot be read'):
        segment_raster(_network(), str(tmp_path / 'absent.tif'), out)
    bands = _write_tiff(tmp_path / 'five.tif', _pixels(40, 40, 5), photometric='RGB')
    with pytest.raises(ImageError, match=r'five\.tif: .*channels'):
        segment_raster(_network(), bands, out)
    wide = _write_tiff(tmp_path / 'wide.tif', _pixels(40, 40).astype(np.uint16) * 257)
    with pytest.raises(ImageError, match=r'wide\.tif: .*16-bit.*--high-byte'):
        segment_raster(_network(), wide, out)
    segment_raster(_network(), wide, out, high_byte=True)
    with rasterio.open(out) as file:
        np.testing.assert_array_equal(file.read(1), _want(_pixels(40, 40)))
    cut = tmp_path / 'cut.tif'
    _write_tiff(cut, _pixels(900, 300))
    cut.write_bytes(cut.read_bytes()[:500_000])
    os.unlink(out)
    with pytest.raises(ImageError, match=r'cut\.tif: truncated or damaged'):
        segment_raster(_network(), str(cut), out)
    assert not os.path.exists(out)
    assert not list(tmp_path.glob('*.tmp-*'))


# -- networks of configs --------------------------------------------------------------
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


@pytest.mark.parametrize('kind', ['plain', 'semi', 'multi'])
def test_labels_are_those_of_the_test_command(tmp_path, kind):
    cfg = _config(kind)
    model, checkpoint = _save(tmp_path / 'a.pth', cfg)
    network = load_network(cfg, checkpoint, 'a' if kind == 'multi' else None)
    assert (network.classes, network.palette) == (CLASSES, PALETTE)
    source, pixels = str(tmp_path / 'in.png'), _pixels(80, 100)
    cv2.imwrite(source, pixels[..., ::-1])
    segment_raster(network, source, str(tmp_path / 'out.tif'))
    from mmseg.structures import SegDataSample

    meta = dict(img_shape=(80, 100), ori_shape=(80, 100), dataset_name='a')
    data = dict(
        inputs=[torch.from_numpy(pixels).permute(2, 0, 1)],
        data_samples=[SegDataSample(metainfo=meta)],
    )
    want = model.test_step(data)[0].pred_sem_seg.data[0].numpy()
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


@pytest.mark.parametrize(
    ('kind', 'changes', 'dataset', 'error', 'message'),
    [
        ('multi', {}, None, RoutingError, r"no data set None.*\['a', 'b'\]"),
        ('plain', {}, 'a', RoutingError, '--dataset a of a EncoderDecoder'),
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
    _, checkpoint = _save(tmp_path / 'a.pth', cfg)
    network = load_network(cfg, checkpoint)
    plain = load_network(_config(kind), checkpoint)
    for height, width in ((64, 64), (50, 40)):
        windows = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
        ready = network.prepare(windows)
        assert ready.shape == (2, 3, -(-height // 16) * 16, -(-width // 16) * 16)
        assert not ready[..., height:, :].any()
        assert not ready[..., width:].any()
        metas = [dict(img_shape=(height, width))] * 2
        with torch.no_grad():
            scores = network.predict(ready, metas)
            if (height, width) == (64, 64):
                assert scores.equal(plain.predict(plain.prepare(windows), metas))
        assert scores.shape == (2, 3, height, width)
    # An image that is smaller than a window.
    source = _write_tiff(tmp_path / 'in.tif', _pixels(50, 40), **GRID)
    segment_raster(network, source, str(tmp_path / 'out.tif'))
    with rasterio.open(tmp_path / 'out.tif') as file:
        assert file.shape == (50, 40)


def test_configs_of_pre_training_are_accepted(tmp_path):
    cfg = load_config(ROOT / 'configs/s4p/vit-t_dubai.py')
    _, checkpoint = _save(tmp_path / 'a.pth', cfg)
    network = load_network(cfg, checkpoint, windows=((32, 32), (24, 24)))
    source = _write_tiff(tmp_path / 'in.tif', _pixels(30, 70), **GRID)
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
    source = _write_tiff(tmp_path / 'in.tif', _pixels(80, 90), **GRID)
    tool = os.path.join(os.path.dirname(__file__), '../../tools/segment_raster.py')
    line = [tool, str(tmp_path / 'a.py'), checkpoint, source, str(tmp_path / 'o.tif')]
    monkeypatch.setattr(sys, 'argv', [*line, '--crop-size', '64', '64'])
    with pytest.raises(SystemExit):
        run_path(tool, run_name='__main__')
    assert '--crop-size and --stride go together' in capsys.readouterr().err
    monkeypatch.setattr(sys, 'argv', line)
    run_path(tool, run_name='__main__')
    assert 'segment: 4/4 windows' in capsys.readouterr().err
    with rasterio.open(tmp_path / 'o.tif') as file:
        assert (file.shape, file.transform) == ((80, 90), GRID['transform'])
