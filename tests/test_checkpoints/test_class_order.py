"""Weights of a detector brought into another order of the classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from s5_mm.checkpoints import class_permutation, reorder_classes

CONFIG = Path(__file__).parents[2] / 'configs/_base_/datasets/dotav2.py'
# As mmrotate's DOTAv2Dataset has them.
MMROTATE = (
    'plane', 'baseball-diamond', 'bridge', 'ground-track-field', 'small-vehicle',
    'large-vehicle', 'ship', 'tennis-court', 'basketball-court', 'storage-tank',
    'soccer-ball-field', 'roundabout', 'harbor', 'swimming-pool', 'helicopter',
    'container-crane', 'airport', 'helipad',
)  # fmt: skip
HEAD = 'roi_head.bbox_head.'


def toolkit() -> tuple[str, ...]:
    """The order that the release's weights are in."""
    return tuple(Config.fromfile(CONFIG).dotav2.bbox_toolkit_classes)


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    # fp64: a product may round differently from column to column.
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def head(classes: int, box_rows: int) -> dict[str, torch.Tensor]:
    layers = {'fc_cls': nn.Linear(6, classes + 1), 'fc_reg': nn.Linear(6, box_rows)}
    shared = {f'{HEAD}shared_fcs.0.weight': torch.rand(6, 9)}
    return shared | {
        f'{HEAD}{layer}.{key}': value.detach()
        for layer, module in layers.items()
        for key, value in module.state_dict().items()
    }


def test_orders_of_the_release_and_of_mmrotate() -> None:
    assert toolkit() != MMROTATE
    assert toolkit()[:3] == ('large-vehicle', 'swimming-pool', 'helicopter')
    assert tuple(Config.fromfile(CONFIG).dotav2.train.metainfo.classes) == MMROTATE
    order = class_permutation(toolkit(), MMROTATE)
    assert [toolkit()[index] for index in order] == list(MMROTATE)
    assert order != list(range(18))
    back = class_permutation(MMROTATE, toolkit())
    assert [order[index] for index in back] == list(range(18))


@pytest.mark.parametrize('dims', [None, 4, 5])
def test_scores_and_boxes_go_with_their_names(dims: int | None) -> None:
    """Rows are looked up by name, one at a time."""
    found, wanted = toolkit(), MMROTATE
    state = head(18, 18 * dims if dims else 5)
    before = {name: tensor.clone() for name, tensor in state.items()}
    changed = reorder_classes(state, found, wanted)
    assert list(changed) == list(state)
    features = torch.rand(4, 6, dtype=torch.float64)

    def outputs(weights: dict, layer: str) -> torch.Tensor:
        weight, bias = (weights[f'{HEAD}{layer}.{k}'] for k in ('weight', 'bias'))
        return features @ weight.double().T + bias.double()

    old, new = outputs(state, 'fc_cls'), outputs(changed, 'fc_cls')
    for place, name in enumerate(wanted):
        close(new[:, place], old[:, found.index(name)])
    close(new[:, -1], old[:, -1])  # the background stays last
    old, new = outputs(state, 'fc_reg'), outputs(changed, 'fc_reg')
    if dims is None:
        close(new, old)
    else:
        for place, name in enumerate(wanted):
            first = found.index(name) * dims
            mine = new[:, place * dims : (place + 1) * dims]
            close(mine, old[:, first : first + dims])
    shared = f'{HEAD}shared_fcs.0.weight'
    assert changed[shared].equal(state[shared])
    assert all(state[name].equal(before[name]) for name in state)
    assert all(
        tensor.equal(state[name])
        for name, tensor in reorder_classes(changed, wanted, found).items()
    )


def test_other_data_sets_of_the_file_stay() -> None:
    state = {
        f'{name}.{key}': value
        for name, classes in (('datasets.a', 3), ('datasets.b', 4))
        for key, value in head(classes, 5).items()
    }
    changed = reorder_classes(state, 'xyz', 'zxy', prefix='datasets.a.')
    moved = {name for name in state if not changed[name].equal(state[name])}
    layer = f'datasets.a.{HEAD}fc_cls.'
    assert moved == {f'{layer}weight', f'{layer}bias'}
    assert changed[f'{layer}bias'].equal(state[f'{layer}bias'][[2, 0, 1, 3]])
    with pytest.raises(ValueError, match=r'datasets\.b\..*fc_cls.weight: 5 rows, exp'):
        reorder_classes(state, 'xyz', 'zxy')


@pytest.mark.parametrize(
    ('found', 'wanted', 'message'),
    [
        ('abc', 'abd', r"lack \['d'\] and have \['c'\] besides, expected .*'d'"),
        ('ab', 'abc', r"lack \['c'\] and have \[\] besides"),
        ('abc', 'ab', r"lack \[\] and have \['c'\] besides"),
        ('abb', 'abc', r"found classes: \['b'\] more than once"),
        ('abc', 'aab', r"wanted classes: \['a'\] more than once"),
    ],
)
def test_names_that_do_not_agree(found: str, wanted: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_permutation(found, wanted)


def test_layers_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r'fc_cls.weight: 4 rows, expected 3: 2 class'):
        reorder_classes(head(3, 5), 'ab', 'ba')
    with pytest.raises(ValueError, match=r'fc_reg.weight: 7 rows, expected one of \(4'):
        reorder_classes(head(3, 7), 'abc', 'cba')
    with pytest.raises(KeyError, match=r"no \*\.fc_cls\.weight among 5 .* with 'x'"):
        reorder_classes(head(3, 5), 'abc', 'cba', prefix='x')
