"""The parameter columns of the paper's tables, on the meta device."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

from s5_mm.models.backbones import ViT
from s5_mm.registry import MODELS
from tools.analysis_tools import get_params as TOOL

ROOT = Path(__file__).parents[2]
CLASSES = dict(vaihingen=5, potsdam=5, openearthmap=9, loveda=7)
DIMS = dict(b=768, l=1024, h=1280)


class StandInMixture(nn.Module):
    """A feed-forward part with one expert a data set."""

    def __init__(self, dims, hidden, part, names, layout):
        super().__init__()
        self.fc1 = nn.Linear(dims, hidden)
        self.shared = nn.Linear(hidden, dims - part)
        if layout == 'numbers':
            self.experts = nn.ModuleList(nn.Linear(hidden, part) for _ in names)
        elif layout == 'names':
            self.experts = nn.ModuleDict({n: nn.Linear(hidden, part) for n in names})
        else:  # all in one tensor
            self.experts = nn.ParameterDict(
                dict(
                    weight=torch.empty(len(names), part, hidden),
                    bias=torch.empty(len(names), part),
                )
            )


@MODELS.register_module()
class StandInViTMoE(ViT):
    def __init__(self, datasets, part_features, layout='numbers', **kwargs):
        self.datasets, self.part_features = tuple(datasets), part_features
        self.layout = layout
        super().__init__(**kwargs)

    def make_ffn(self, embed_dims, feedforward_channels):
        return StandInMixture(
            embed_dims,
            feedforward_channels,
            self.part_features,
            self.datasets,
            self.layout,
        )


@MODELS.register_module()
class StandInMultiDataset(BaseModel):
    def __init__(self, backbone, decode_heads):
        super().__init__()
        self.backbone = MODELS.build(backbone)
        self.decode_heads = nn.ModuleDict(
            {name: MODELS.build(head) for name, head in decode_heads.items()}
        )

    def forward(self, inputs, data_samples=None, mode='tensor'):
        raise NotImplementedError


def write(folder, arch='b', part=None, classes=None, layout='numbers'):
    """Write the config of a multi-dataset model and return its path."""
    classes = classes or CLASSES
    base = Config.fromfile(ROOT / 'configs/_base_/models/upernet_vit-b.py')
    head = dict(base.model.decode_head, in_channels=[DIMS[arch]] * 4)
    backbone = dict(base.model.backbone, arch=arch)
    if part:
        backbone.update(type='s5_mm.StandInViTMoE', datasets=list(classes))
        backbone.update(part_features=part, layout=layout)
    heads = {name: dict(head, num_classes=n) for name, n in classes.items()}
    model = dict(
        type='s5_mm.StandInMultiDataset', backbone=backbone, decode_heads=heads
    )
    path = folder / f'{arch}_{part}_{len(classes)}_{layout}.py'
    Config(dict(model=model)).dump(path)
    return str(path)


def rows(folder, *configs):
    """Run the command and return what it writes as JSON."""
    TOOL.main([*configs, '--json', str(folder / 'out.json')])
    return json.loads((folder / 'out.json').read_text())


@pytest.mark.parametrize(
    ('arch', 'params'), [('b', 103.16), ('l', 327.43), ('h', 663.38)]
)
def test_single_models(arch, params):
    config = Config.fromfile(ROOT / f'configs/s4p/vit-{arch}_rs4p1m.py')
    row = TOOL.count(TOOL.build_on_meta(config), 'x')
    assert round(row.total / 1e6, 2) == params
    assert row.total == row.backbone + row.decoders == row.shared
    assert (row.method, row.datasets, row.own) == ('-', (), {})
    assert (row.part_features, row.alpha, row.paper_alpha) == (None, '-', '-')


@pytest.mark.parametrize(
    ('arch', 'part', 'params', 'alpha', 'paper'),
    [
        ('b', None, 132.08, '-', '-'),
        ('b', 128, 146.24, '1/6', '1/8'),
        ('b', 256, 160.40, '1/3', '1/4'),
        ('b', 512, 188.72, '2/3', '1/2'),
        ('b', 192, 153.32, '1/4', '-'),
        ('l', 256, 435.01, '1/4', '-'),
        ('h', 256, 824.45, '1/5', '-'),
    ],
)
def test_tables_1_and_3(arch, part, params, alpha, paper, tmp_path):
    (row,) = rows(tmp_path, write(tmp_path, arch, part))
    assert round(row['total'] / 1e6, 2) == params
    assert row['method'] == ('MoE-MDF' if part else 'MDF')
    assert sorted(row['datasets']) == sorted(CLASSES)
    assert (row['alpha'], row['paper_alpha']) == (alpha, paper)
    assert row['part_features'] == part
    assert row['backbone'] + row['decoders'] == row['total']
    assert row['shared'] + sum(row['own'].values()) == row['total']


@pytest.mark.parametrize(
    ('config', 'params', 'method'),
    [
        ('sdf_vit-b_openearthmap', 103.16, 'SDF'),
        ('mdf_vit-b', 132.08, 'MDF'),
        ('moe-mdf_vit-b_part128', 146.24, 'MoE-MDF'),
        ('moe-mdf_vit-b', 160.40, 'MoE-MDF'),
        ('moe-mdf_vit-b_part512', 188.72, 'MoE-MDF'),
        ('moe-mdf_vit-l', 435.01, 'MoE-MDF'),
        ('moe-mdf_vit-h', 824.45, 'MoE-MDF'),
    ],
)
def test_the_configs_of_the_tables(config, params, method, tmp_path):
    path = ROOT / f'configs/finetune_seg/{config}.py'
    (row,) = rows(tmp_path, str(path))
    assert round(row['total'] / 1e6, 2) == params
    assert row['method'] == method
    if method != 'SDF':
        assert row['datasets'] == list(CLASSES)
    model = TOOL.build_on_meta(Config.fromfile(path))
    assert row['own'] == {
        name: sum(p.numel() for p in model.dataset_parameters(name))
        for name in model.datasets
    }


@pytest.mark.parametrize('layout', ['numbers', 'names', 'tensor'])
def test_what_belongs_to_a_data_set(layout, tmp_path):
    (row,) = rows(tmp_path, write(tmp_path, 'b', 256, layout=layout))
    (dense,) = rows(tmp_path, write(tmp_path, 'b'))
    experts = 12 * (4 * 768 + 1) * 256
    head = 7 * (256 * 768 + 512) + (768 + 1024) * 2304 + 512
    head += 3 * (589824 + 512) + 2359296 + 512
    for name, classes in CLASSES.items():
        assert row['own'][name] == experts + head + 257 * classes
    assert row['shared'] == dense['backbone'] - experts


def test_single_data_sets_are_summed(tmp_path, capsys):
    files = []
    for name, classes in CLASSES.items():
        (tmp_path / name).mkdir()
        files.append(write(tmp_path / name, classes={name: classes}))
    found = rows(tmp_path, *files)
    assert [row['method'] for row in found] == ['SDF'] * 4
    assert [row['datasets'] for row in found] == [[name] for name in CLASSES]
    lines = capsys.readouterr().out.splitlines()
    # 412.8 in the paper, four times the rounded 103.2.
    assert lines[-1] == '4 SDF models with a backbone of 93.51 M together: 412.62 M'


def test_models_of_the_same_data_set_are_not_summed(tmp_path, capsys):
    for folder in 'ab':
        (tmp_path / folder).mkdir()
    files = [write(tmp_path / folder, classes=dict(x=5)) for folder in 'ab']
    rows(tmp_path, *files)
    assert 'together' not in capsys.readouterr().out


def test_the_command_prints_markdown(tmp_path, capsys):
    base = str(ROOT / 'configs/_base_/models/upernet_vit-b.py')
    moe = write(tmp_path, 'b', 256)
    TOOL.main([base, moe])
    lines = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith('|')
    ]
    assert len({len(line) for line in lines}) == 1
    assert lines[2][0] == base
    assert lines[2][1:4] == ['-', '-', '103.16']
    assert lines[3][1:4] == ['MoE-MDF', '4', '160.40']
    assert lines[3][-3:] == ['256', '1/3', '1/4']


def test_options_reach_every_config(capsys):
    base = str(ROOT / 'configs/_base_/models/upernet_vit-b.py')
    TOOL.main([base, base, '--cfg-options', 'model.decode_head.num_classes=100'])
    assert capsys.readouterr().out.count('103.18') == 2 * 2  # total and shared


def test_a_model_without_backbone():
    with pytest.raises(ValueError, match='x.py: Linear has no backbone to count'):
        TOOL.count(nn.Linear(1, 1), 'x.py')
