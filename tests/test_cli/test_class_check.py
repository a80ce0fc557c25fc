"""The classes of model and data fit, or the settings that do not are named."""

from pathlib import Path

import pytest
from mmengine.config import Config

from s5_mm.cli.class_check import check_classes
from s5_mm.cli.config import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'
DUBAI = str(CONFIGS / 's4p/vit-t_dubai.py')
HEAD = 'model.segmentor.decode_head'


def test_another_number_of_classes():
    cfg = load_config(DUBAI, {f'{HEAD}.num_classes': 7})
    with pytest.raises(ValueError, match='num_classes') as refused:
        check_classes(cfg, 'train')
    text = str(refused.value)
    assert text.startswith(
        f'{HEAD}.num_classes is 7, train_dataloader.dataset.sources.sup has 5 classes '
        "('building', "
    )
    assert text.endswith(
        f'; set {HEAD}.num_classes=5, or metainfo.classes of the data set'
    )
    with pytest.raises(ValueError, match='7, val_dataloader.dataset has 5 classes'):
        check_classes(cfg, 'val')
    check_classes(load_config(DUBAI), 'train', 'val', 'test')


def test_classes_that_the_data_set_itself_knows():
    cfg = Config(
        dict(
            model=dict(
                backbone=dict(type='A'),
                roi_head=dict(bbox_head=dict(type='B', num_classes=3)),
            ),
            test_dataloader=dict(dataset=dict(type='s5_mm.OpenEarthMapDataset')),
        )
    )
    key = 'model.roi_head.bbox_head.num_classes'
    with pytest.raises(ValueError, match=f'{key} is 3, test_dataloader.dataset has 9'):
        check_classes(cfg, 'test')
    cfg.model.roi_head.bbox_head.num_classes = 9
    check_classes(cfg, 'test', 'train')


def test_one_channel_may_stand_for_two_classes():
    cfg = load_config(DUBAI, {f'{HEAD}.num_classes': 1})
    check_classes(cfg, 'train')
    cfg = load_config(DUBAI, {f'{HEAD}.num_classes': 2, f'{HEAD}.out_channels': 1})
    check_classes(cfg, 'train')


def test_models_of_several_data_sets_are_left_to_their_hook():
    cfg = load_config(str(CONFIGS / 'finetune_seg/moe-mdf_vit-b.py'))
    check_classes(cfg, 'train', 'val', 'test')
