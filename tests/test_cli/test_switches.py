"""What the commands' options do to a config."""

import copy

import pytest
from mmengine.config import Config

from s5_mm.cli.switches import save_predictions_to, show_predictions, switch_to_tta
from s5_mm.utils.ordered_config import OrderedConfig


def _config(**changes):
    return Config(
        {
            'default_hooks': dict(
                visualization=dict(type='s5_mm.SegPanelHook', max_per_dataset=2)
            ),
            'visualizer': dict(vis_backends=[dict(type='LocalVisBackend')]),
            'test_evaluator': dict(type='s5_mm.SegmentationMetric'),
            **changes,
        }
    )


def test_every_picture_lands_in_the_folder_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = _config()
    show_predictions(cfg, False, 'pictures', 2.0)
    hook = cfg.default_hooks.visualization
    assert dict(hook) == dict(
        type='s5_mm.SegPanelHook', draw=True, show=False, wait_time=2.0, interval=1
    )
    (backend,) = cfg.visualizer.vis_backends
    assert backend.img_save_dir == str(tmp_path / 'pictures')


@pytest.mark.parametrize('backends', [None, [], [dict(type='TensorboardVisBackend')]])
def test_pictures_need_a_backend_of_files(tmp_path, backends):
    cfg = _config(visualizer=dict(vis_backends=backends))
    show_predictions(cfg, False, str(tmp_path), 2.0)
    assert dict(cfg.visualizer.vis_backends[-1]) == dict(
        type='LocalVisBackend', img_save_dir=str(tmp_path)
    )
    assert len(cfg.visualizer.vis_backends) == len(backends or []) + 1


def test_windows_alone_change_no_folder():
    cfg = _config()
    show_predictions(cfg, True, None, 1.0)
    assert cfg.default_hooks.visualization.show
    assert 'img_save_dir' not in cfg.visualizer.vis_backends[0]


@pytest.mark.parametrize('hooks', [None, dict()])
def test_pictures_need_the_hook(hooks):
    with pytest.raises(KeyError, match=r's5_mm\.SegPanelHook'):
        show_predictions(_config(default_hooks=hooks), True, None, 1.0)


def test_masks_of_one_data_set_go_into_the_folder():
    for evaluator in (dict(), [dict()]):
        cfg = _config(test_evaluator=evaluator)
        save_predictions_to(cfg, 'masks')
        found = cfg.test_evaluator
        found = found[0] if isinstance(found, list) else found
        assert found.output_dir == 'masks'


def test_masks_of_several_data_sets_go_into_a_folder_each():
    metrics = {
        'potsdam': dict(type='s5_mm.SegmentationMetric'),
        'loveda': dict(type='s5_mm.SegmentationMetric', format_only=True),
    }
    cfg = _config(test_evaluator=dict(type='s5_mm.MultiDatasetMetric', metrics=metrics))
    save_predictions_to(cfg, 'masks')
    assert 'output_dir' not in cfg.test_evaluator
    own = cfg.test_evaluator.metrics
    assert own.potsdam.output_dir == 'masks/potsdam'
    assert own.loveda.output_dir == 'masks/loveda'


def test_text_keeps_order_and_kinds(tmp_path):
    settings = dict(
        model=dict(zebra=1, apple=dict(deep=[1, (2,), ()]), kind=dict),
        names={'2': 'not a name', 'class': 'a keyword', 'a-b': {}},
        words='it\'s "quoted"\n',
        long=[dict(type='s5_mm.LoadImage', number=i, more='x' * 20) for i in range(3)],
        nothing=None,
        small=1e-05,
    )
    cfg = OrderedConfig(settings)
    assert max(map(len, cfg.pretty_text.splitlines())) <= 88
    cfg.dump(tmp_path / 'dumped.py')
    again = Config.fromfile(tmp_path / 'dumped.py').to_dict()
    assert repr(again) == repr(settings)
    assert repr(copy.deepcopy(cfg).pretty_text) == repr(cfg.pretty_text)


def _tta(sources=None, **changes):
    dataset = dict(type='s5_mm.MultiSourceDataset', pipeline=[dict(type='Old')])
    if sources is not None:
        dataset['sources'] = sources
    return _config(
        default_scope='mmrotate',
        test_dataloader=dict(dataset=dataset),
        tta_pipeline=[dict(type='TestTimeAug')],
        tta_model=dict(type='s5_mm.OrientedTTAModel'),
        **changes,
    )


def test_tta_takes_the_place_of_the_common_pipeline():
    cfg = _tta(dict(ports=dict(type='A'), fields=dict(datasets=[dict(type='B')])))
    cfg.custom_hooks = [dict(type='Mine')]
    switch_to_tta(cfg)
    assert cfg.test_dataloader.dataset.pipeline == [dict(type='TestTimeAug')]
    own, hook = cfg.custom_hooks
    assert own == dict(type='Mine')
    wrapper = dict(type='s5_mm.OrientedTTAModel')
    assert hook == dict(type='PrepareTTAHook', tta_cfg=wrapper)


def test_segmentation_needs_no_wrapper():
    cfg = _tta()
    cfg.pop('tta_model')
    cfg.default_scope = 'mmseg'
    switch_to_tta(cfg)
    assert cfg.custom_hooks[0]['tta_cfg'] == dict(type='SegTTAModel')


def test_pipelines_of_sources_do_not_win_over_tta():
    own = [dict(type='Load')]
    sources = dict(
        ports=dict(type='A', pipeline=own),
        fields=dict(type='B'),
        both=dict(type='C', datasets=[dict(type='D'), dict(type='E', pipeline=own)]),
        again='ports',
    )
    cfg = _tta(sources)
    switch_to_tta(cfg)
    assert cfg.test_dataloader.dataset == dict(
        type='s5_mm.MultiSourceDataset',
        pipeline=[dict(type='TestTimeAug')],
        sources=dict(
            ports=dict(type='A'),
            fields=dict(type='B'),
            both=dict(type='C', datasets=[dict(type='D'), dict(type='E')]),
            again='ports',
        ),
    )


@pytest.mark.parametrize('key', ['tta_pipeline', 'tta_model'])
def test_tta_needs_a_pipeline_and_a_wrapper(key):
    cfg = _tta()
    cfg.pop(key)
    with pytest.raises(KeyError, match=f'has no {key}, which --tta needs'):
        switch_to_tta(cfg)
