"""One more data set costs two files: what it is, and that it takes part."""

import pytest

from s5_mm.checkpoints.comparison import last_checkpoint
from s5_mm.cli.config import load_config

from .toy_mdf import (
    CONFIGS,
    SHIPPED,
    SHORT,
    SMALL,
    call_tool,
    figures,
    train,
    write_pairs,
)

# What a user writes.
DATA_SET = """\
mine = dict(
    model=dict(num_classes=4, test_cfg=dict(mode='whole', flip=['horizontal'])),
    train=dict(
        type='s5_mm.SegDataset',
        data_root='data/mine',
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        reduce_zero_label=True,
        metainfo=dict(classes=('field', 'road', 'building', 'water')),
    ),
    metric=dict(type='s5_mm.SegmentationMetric', per_class=True),
)
mine['val'] = dict(
    mine['train'],
    data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
)
"""
LEAF = """\
_base_ = ['{base}', '{mine}']
mine = _base_.mine
model = dict(datasets=dict(mine=mine.model))
train_dataloader = dict(batch_size=8, dataset=dict(sources=dict(mine=mine.train)))
val_dataloader = dict(dataset=dict(sources=dict(mine=mine.val)))
val_evaluator = dict(metrics=dict(mine=mine.metric))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
"""
CLASSES = dict(dubai=5, korea_s2=5, hrsc_ships=3, mine=4)


@pytest.fixture(scope='module')
def leaf(tmp_path_factory):
    """The two files, and the images in the layouts of their data sets."""
    folder = tmp_path_factory.mktemp('fifth')
    suffixes = dict(
        dubai=('.jpg', '.png'),
        korea_s2=('.tif', '.tif'),
        hrsc_ships=('.jpg', '.png'),
        mine=('.png', '.png'),
    )
    for seed, (name, classes) in enumerate(CLASSES.items()):
        shift = int(name == 'mine')
        write_pairs(folder / 'images' / name, classes, suffixes[name], seed, shift)
    configs = folder / 'configs'
    configs.mkdir()
    (configs / 'mine.py').write_text(DATA_SET)
    base = CONFIGS / f'{SHIPPED}.py'
    (configs / 'leaf.py').write_text(LEAF.format(base=base, mine='./mine.py'))
    return configs / 'leaf.py'


def _config(leaf, **changes):
    options = {
        'data_root': str(leaf.parents[1] / 'images'),
        'model.backbone.part_features': 16,
        **SMALL,
        **SHORT,
        **changes,
    }
    return load_config(str(leaf), options)


def test_two_files_of_few_lines(leaf):
    lines = leaf.read_text().splitlines()
    assert len(lines) == 8
    own = (leaf.parent / 'mine.py').read_text().splitlines()
    assert len(own) == 15
    names = {line.split()[0].split('[')[0] for line in own if line[0].isalpha()}
    assert names == {'mine'}
    assert len(list(leaf.parent.iterdir())) == 2


def test_everything_else_is_as_shipped(leaf):
    shipped = load_config(str(CONFIGS / f'{SHIPPED}.py')).to_dict()
    own = load_config(str(leaf)).to_dict()
    assert list(own['model']['datasets']) == list(CLASSES)
    own['model']['datasets'].pop('mine')
    loader = own['train_dataloader']
    loader['dataset']['sources'].pop('mine')
    loader['batch_size'] = 12
    for part in ('val', 'test'):
        own[f'{part}_dataloader']['dataset']['sources'].pop('mine')
        own[f'{part}_evaluator']['metrics'].pop('mine')
    own.pop('mine')
    for found in (own, shipped):
        found.pop('work_dir')
    assert own == shipped


def test_trains_and_is_judged(leaf, tmp_path):
    cfg = _config(leaf)
    cfg.dump(tmp_path / 'run.py')
    train(cfg, tmp_path)
    final = last_checkpoint(tmp_path)
    state, scalars = final['state_dict'], final['message_hub']['log_scalars']
    for name, classes in CLASSES.items():
        assert len(state[f'decode_heads.{name}.conv_seg.weight']) == classes
        assert len(scalars[f'train/{name}.loss_ce'].data[0]) == 2
        experts = [key for key in state if f'.experts.{name}.weight' in key]
        assert len(experts) == 4
    assert list(final['meta']['dataset_meta']['datasets']) == list(CLASSES)
    checkpoint = (tmp_path / 'last_checkpoint').read_text()
    tested = figures(
        call_tool('test.py', tmp_path / 'run.py', checkpoint, '--work-dir', tmp_path)
    )
    for key, value in tested.items():
        assert scalars[f'val/{key}'].data[0][-1] == pytest.approx(value, nan_ok=True)
    headlines = [tested[f'{name}/mIoU'] for name in CLASSES]
    assert tested['average'] == pytest.approx(sum(headlines) / 4, abs=0.011)


def test_wrong_number_of_classes_is_named(leaf, tmp_path):
    cfg = _config(leaf, **{'model.datasets.mine.num_classes': 5})
    with pytest.raises(
        ValueError,
        match=r'mine has 4 classes .*5 \(model\.datasets\.mine\.num_classes\)',
    ):
        train(cfg, tmp_path)


def test_forgotten_part_is_named(leaf, tmp_path):
    cfg = _config(leaf)
    del cfg.model.datasets['mine']
    with pytest.raises(
        ValueError, match=r"train_dataloader has .*\['mine'\], the model"
    ):
        train(cfg, tmp_path / 'model')
    cfg = _config(leaf)
    del cfg.val_evaluator.metrics['mine']
    with pytest.raises(ValueError, match=r"without metric \['mine'\]"):
        train(cfg, tmp_path / 'metric')
    assert not list(tmp_path.rglob('*.pth')), 'before the first iteration'
