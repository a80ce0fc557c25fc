"""Pictures of what a config feeds its model."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData

from s5_mm.cli.command import run_command
from s5_mm.registry import MODELS
from s5_mm.visualization.batches import batch_panels
from s5_mm.visualization.drawing import colorize, hatch

from ..test_datasets.files import sources

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/browse_dataset.py'
PALETTE = [[10, 20, 30], [200, 0, 0], [0, 90, 200]]
NORM = {'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375]}
STRONG = {
    'type': 's5_mm.MultiBranchDataPreprocessor',
    **NORM,
    'strong': {'type': 's5_mm.StrongAugment'},
    'cutmix': {'type': 's5_mm.CutMix', 'prob': 1.0},
}
SIZE = 24  # of the crops, which the tiles have too


@pytest.fixture
def main() -> Callable:
    return runpy.run_path(str(TOOL))['main']


def loader(root: Path) -> dict:
    made = sources(root)
    for source in made.values():
        source['metainfo'] = {'classes': ('a', 'b', 'c'), 'palette': PALETTE}
    return {
        'batch_size': 5,
        'num_workers': 2,
        'persistent_workers': True,
        'prefetch_factor': 2,
        'dataset': {'type': 's5_mm.MultiSourceDataset', 'sources': made},
        'sampler': {'type': 's5_mm.MultiSourceSampler', 'shares': [2, 3]},
        'collate_fn': {'type': 's5_mm.branch_collate'},
    }


def write_config(root: Path, model: dict, **loaders: dict) -> str:
    root.mkdir(parents=True, exist_ok=True)
    lines = [f'model = {model!r}', "default_scope = 'mmseg'"]
    lines += [f'{name} = {value!r}' for name, value in loaders.items()]
    (root / 'config.py').write_text('\n'.join(lines))
    return str(root / 'config.py')


def tile(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    """A cell of a grid of cells of SIZE px with captions below."""
    top = 8 + 12 + 2 + row * (SIZE + 2 + 12 + 8)
    left = 8 + column * (SIZE + 8)
    return picture[top : top + SIZE, left : left + SIZE]


def test_branches(tmp_path: Path, main: Callable, capsys) -> None:
    """Every cell against the batch of the run's own loader and preprocessor."""
    train = loader(tmp_path)
    config = write_config(
        tmp_path, {'segmentor': {}, 'data_preprocessor': STRONG}, train_dataloader=train
    )
    out = tmp_path / 'out'
    args = [config, '--out', str(out), '--tile-size', str(SIZE), '--seed', '3']
    assert run_command(main, [*args, '--batches', '2']) == 0
    files = sorted(path.name for path in out.iterdir())
    assert files == [
        f'train_00{number}_{name}.png' for number in (0, 1) for name in ('sup', 'unsup')
    ]
    named = capsys.readouterr().out.split()
    assert named[-4:] == [str(out / file) for file in files]
    init_default_scope('mmseg')
    for key in ('persistent_workers', 'prefetch_factor'):
        train.pop(key)
    batches = Runner.build_dataloader({**train, 'num_workers': 0}, seed=3)
    preprocessor = MODELS.build(STRONG)
    mean, std = (np.array(NORM[key]).reshape(3, 1, 1) for key in ('mean', 'std'))
    for number, raw in zip((0, 1), batches, strict=False):
        fed = preprocessor(raw, True)

        def view(branch: str, row: int, fed: dict = fed) -> np.ndarray:
            values = fed['inputs'][branch][row].numpy().astype(np.float64)
            pixels = np.clip(np.rint(values * std + mean), 0, 255)
            return pixels.astype(np.uint8).transpose(1, 2, 0)

        panels = {
            name: cv2.imread(str(out / f'train_00{number}_{name}.png'))[..., ::-1]
            for name in ('sup', 'unsup')
        }
        for row in range(2):
            loaded = raw['inputs']['sup'][row].numpy().transpose(1, 2, 0)
            mask = raw['data_samples']['sup'][row].gt_sem_seg.data[0].numpy()
            np.testing.assert_array_equal(tile(panels['sup'], row, 0), loaded)
            np.testing.assert_array_equal(tile(panels['sup'], row, 1), loaded)
            wanted = colorize(mask, PALETTE)
            np.testing.assert_array_equal(tile(panels['sup'], row, 2), wanted)
        for row in range(3):
            loaded = raw['inputs']['unsup'][row].numpy().transpose(1, 2, 0)
            strong, region = view('unsup_strong', row), fed['mix'].region[row].numpy()
            weak = hatch(view('unsup_weak', row), ~fed['mix'].valid[row].numpy())
            cells = [tile(panels['unsup'], row, column) for column in range(4)]
            np.testing.assert_array_equal(cells[0], loaded)
            np.testing.assert_array_equal(cells[1], weak)
            np.testing.assert_allclose(cells[2], strong, atol=1)  # fp32, fp64
            assert region.any()
            np.testing.assert_array_equal(cells[3][region], cells[2][region])
            faded = cells[3][~region].astype(int)
            assert (faded >= 191).all()


def test_one_list_of_samples(tmp_path: Path, main: Callable) -> None:
    """mmseg's preprocessor, whose mistake of swapped colours is seen."""
    train = loader(tmp_path)
    sup = train['dataset']['sources']['sup']
    host = {'type': 'SegDataPreProcessor', **NORM, 'bgr_to_rgb': True, 'size': (24, 24)}
    pipeline = [*sup['pipeline'][:2], {'type': 'Resize', 'scale': (24, 24)}]
    sup['pipeline'] = [
        {**step, 'keep_ratio': False} if step['type'] == 'Resize' else step
        for step in [*pipeline, {'type': 'PackSegInputs'}]
    ]
    val = {'batch_size': 2, 'dataset': sup, 'sampler': {'type': 'DefaultSampler'}}
    config = write_config(tmp_path, {'data_preprocessor': host}, val_dataloader=val)
    args = [config, '--split', 'val', '--out', str(tmp_path / 'out')]
    assert run_command(main, [*args, '--tile-size', str(SIZE)]) == 0
    (path,) = (tmp_path / 'out').iterdir()
    assert path.name == 'val_000.png'
    picture = cv2.imread(str(path))[..., ::-1]
    for row in range(2):
        loaded, fed = tile(picture, row, 0), tile(picture, row, 1)
        np.testing.assert_array_equal(fed, loaded[..., ::-1])
        assert (loaded != fed).any()


class Boxes:
    """Rotated boxes as mmrotate has them, as far as they are drawn."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __len__(self) -> int:
        return len(self.tensor)

    def clone(self) -> Boxes:
        return Boxes(self.tensor.clone())

    def rescale_(self, factor: tuple[float, float]) -> None:
        self.tensor[:, :4] *= torch.tensor([*factor, *factor])


class Sample(dict):
    """A sample of a detector."""

    img_path, scale_factor = 'a/0.png', (2.0, 2.0)

    def __getattr__(self, name: str) -> object:
        return self[name]


def test_boxes() -> None:
    """In the coordinates of the input, or of the file in validation."""
    inputs = torch.zeros(1, 3, 48, 48, dtype=torch.uint8)
    instances = InstanceData()
    instances.bboxes = Boxes(torch.tensor([[12.0, 12, 8, 8, 0]]))
    instances.labels = torch.tensor([0])
    sample = Sample(gt_instances=instances, dataset_name='ships', img_path='a/0.png')
    metainfo = {'datasets': {'ships': {'classes': ('x',), 'palette': [[250, 0, 0]]}}}
    raw = {'inputs': [inputs[0]], 'data_samples': [sample]}
    fed = {'inputs': inputs.float(), 'data_samples': [sample]}
    for scale, low, high in ((False, 8, 16), (True, 16, 32)):
        panels = batch_panels(
            raw, fed, torch.nn.Identity(), metainfo, tile_size=48, scale_boxes=scale
        )
        picture = panels['ships'][22 : 22 + 48, 8 + 2 * 56 : 8 + 2 * 56 + 48]
        column = np.flatnonzero(picture[(low + high) // 2, :, 0] > 100)
        assert column.min() == pytest.approx(low, abs=1)
        assert column.max() == pytest.approx(high, abs=1)
    assert instances.bboxes.tensor[0, 0] == 12


def test_errors(tmp_path: Path, main: Callable, capsys) -> None:
    config = write_config(tmp_path, {}, train_dataloader=loader(tmp_path))
    for argv, error in (
        ([config], 'no model.data_preprocessor, expected one'),
        ([config, '--split', 'val'], 'no val_dataloader'),
        (['none.py'], 'there is no config file none.py'),
    ):
        assert run_command(main, [*argv, '--out', str(tmp_path / 'out')]) == 2
        assert error in capsys.readouterr().err
    inputs = torch.zeros(1, 3, 8, 8)
    mask = PixelData(data=torch.full((1, 8, 8), 3))
    sample = Sample(gt_sem_seg=mask, img_path='a/0.png')
    raw = fed = {'inputs': inputs, 'data_samples': [sample]}
    info = {'classes': ('a', 'b', 'c'), 'palette': PALETTE}
    with pytest.raises(ValueError, match=r'a/0\.png: mask: ids \[3\] found'):
        batch_panels(raw, fed, torch.nn.Identity(), info)
