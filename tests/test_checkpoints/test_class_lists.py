"""Class layers are brought into the order of the data, or refused by name."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from s5_mm.checkpoints import CheckpointError, match_classes
from s5_mm.engine.hooks import CheckpointFitHook

ABC, BCA, ABD = ('a', 'b', 'c'), ('b', 'c', 'a'), ('a', 'b', 'd')


def _layers(prefix=''):
    rows = torch.arange(4.0)
    return {
        f'{prefix}roi_head.bbox_head.fc_cls.weight': rows[:, None].repeat(1, 2),
        f'{prefix}roi_head.bbox_head.fc_cls.bias': rows,
        f'{prefix}neck.weight': torch.ones(2),
    }


def _several(**classes):
    return dict(datasets={name: dict(classes=own) for name, own in classes.items()})


def _match(state, stored, wanted, mismatch='raise'):
    return match_classes(state, stored, wanted, 'x.pth', mismatch)


@pytest.mark.parametrize(
    'stored', [dict(CLASSES=ABC), dict(dataset_meta=_several(x=ABC))]
)
def test_one_data_set_of_any_name(stored):
    state = _layers()
    changed, notes = _match(state, stored, dict(classes=list(ABC)))
    assert not notes
    assert all(changed[name] is state[name] for name in state)
    changed, notes = _match(state, stored, _several(y=BCA))
    assert changed['roi_head.bbox_head.fc_cls.bias'].tolist() == [1, 2, 0, 3]
    assert changed['roi_head.bbox_head.fc_cls.weight'][:, 0].tolist() == [1, 2, 0, 3]
    assert "from the order ['a', 'b', 'c'] to ['b', 'c', 'a']" in notes[0]
    with pytest.raises(CheckpointError, match=r"for 3 classes \['a', 'b', 'c'\], .* 3"):
        _match(state, stored, _several(y=ABD))
    changed, notes = _match(state, stored, _several(y=ABD), 'skip')
    assert list(changed) == ['neck.weight']
    assert 'left out' in notes[0]


def test_several_data_sets_by_their_names():
    state = {**_layers('detectors.x.'), **_layers('detectors.y.')}
    stored = dict(dataset_meta=_several(x=ABC, y=ABC))
    changed, _ = _match(state, stored, _several(y=BCA, x=ABC, z=ABD))
    bias = 'roi_head.bbox_head.fc_cls.bias'
    assert changed[f'detectors.x.{bias}'].tolist() == [0, 1, 2, 3]
    assert changed[f'detectors.y.{bias}'].tolist() == [1, 2, 0, 3]
    with pytest.raises(CheckpointError, match=r"y has 3 \['a', 'b', 'd'\]"):
        _match(state, stored, _several(x=ABC, y=ABD))


@pytest.mark.parametrize(
    ('state', 'stored', 'wanted'),
    [
        (_layers(), dict(dataset_meta=_several(x=ABC)), _several(x=ABD, y=ABC)),
        ({'backbone.w': torch.ones(1)}, dict(CLASSES=ABC), dict(classes=ABD)),
        (_layers(), {}, dict(classes=ABD)),
        (_layers(), dict(CLASSES=ABC), {}),
    ],
)
def test_what_cannot_be_compared_is_left_alone(state, stored, wanted):
    changed, notes = _match(state, stored, wanted)
    assert changed == state or all(changed[k] is state[k] for k in state)
    assert not notes


class _Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.roi_head = nn.Module()
        self.roi_head.bbox_head = nn.Module()
        self.roi_head.bbox_head.fc_cls = nn.Linear(2, 4)
        self.neck = nn.Linear(1, 2, bias=False)


def test_the_hook_looks_at_the_data_of_the_run():
    lines = []
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=_several(x=BCA)))
    runner = SimpleNamespace(
        model=_Detector(),
        work_dir='.',
        _load_from='x.pth',
        _train_loop=None,
        _val_loop=None,
        _test_loop=SimpleNamespace(dataloader=loader),
        logger=SimpleNamespace(warning=lines.append),
    )
    state = _layers()
    state['neck.weight'] = torch.ones(2, 1)
    checkpoint = dict(state_dict=state, meta=dict(dataset_meta=_several(x=ABC)))
    CheckpointFitHook().after_load_checkpoint(runner, checkpoint)
    bias = checkpoint['state_dict']['roi_head.bbox_head.fc_cls.bias']
    assert bias.tolist() == [1, 2, 0, 3]
    assert len(lines) == 1
    loader.dataset.metainfo = _several(x=ABD)
    checkpoint = dict(state_dict=state, meta=dict(dataset_meta=_several(x=ABC)))
    with pytest.raises(CheckpointError, match=r"x has 3 \['a', 'b', 'd'\]"):
        CheckpointFitHook().after_load_checkpoint(runner, checkpoint)
