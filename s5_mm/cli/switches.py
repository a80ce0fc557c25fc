"""What the options of train.py and test.py change in a config."""

from __future__ import annotations

import os.path as osp
from typing import Any

from mmengine.config import Config

from s5_mm.checkpoints.file_kinds import check_is_file


def switch_to_amp(cfg: Config, dtype: str) -> None:
    """Train in mixed precision.

    Args:
        cfg: Changed in place.
        dtype: 'auto' (bfloat16 where the device has it), 'bfloat16' or 'float16'.

    Raises:
        ValueError: If the config uses an optimizer wrapper of another kind.
    """
    known = ('OptimWrapper', 'AmpOptimWrapper', 's5_mm.AmpOptimWrapper')
    found = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if found not in known:
        raise ValueError(f'--amp works with optim_wrapper.type in {known}, not {found}')
    cfg.optim_wrapper.type = 's5_mm.AmpOptimWrapper'
    cfg.optim_wrapper.dtype = dtype


def resume_from(cfg: Config, checkpoint: str) -> None:
    """Go on from a checkpoint.

    Args:
        cfg: Changed in place.
        checkpoint: File, or 'auto' for the last one in the work dir.  If there is
            none yet the run starts from the beginning, from the config's
            ``load_from`` if it has one, so that one command serves a job that is
            queued again and again.

    Raises:
        FileNotFoundError: If there is no such file.
        IsADirectoryError: If it is a folder.
    """
    if checkpoint == 'auto':
        cfg.resume = osp.isfile(osp.join(cfg.work_dir, 'last_checkpoint'))
        if cfg.resume:
            cfg.load_from = None
        return
    check_is_file(checkpoint)
    cfg.resume, cfg.load_from = True, checkpoint


def show_predictions(
    cfg: Config, show: bool, folder: str | None, wait_time: float
) -> None:
    """Draw every prediction of a test run.

    Args:
        cfg: Changed in place.
        show: Open a window.
        folder: Where the pictures go; None: into ``vis_image`` of the run's folder.
        wait_time: Seconds that a picture stays in the window.

    Raises:
        KeyError: If the config has no visualization hook.
    """
    hook = (cfg.get('default_hooks') or {}).get('visualization')
    if hook is None:
        raise KeyError(
            f'{cfg.filename} has no default_hooks.visualization, which draws the '
            "predictions; add dict(type='s5_mm.SegPanelHook') for segmentation or "
            "dict(type='s5_mm.BoxPanelHook') for oriented boxes"
        )
    hook.update(draw=True, show=show, wait_time=wait_time, interval=1)
    hook.pop('max_per_dataset', None)
    if not folder:
        return
    backends = list(cfg.visualizer.get('vis_backends') or [])
    local = [backend for backend in backends if 'LocalVisBackend' in backend['type']]
    if not local:
        local = [dict(type='LocalVisBackend')]
        backends += local
    for backend in local:
        # The backend joins it to its save_dir, which an absolute path overrides.
        backend['img_save_dir'] = osp.abspath(folder)
    cfg.visualizer.vis_backends = backends


def save_predictions_to(cfg: Config, folder: str) -> None:
    """Write the predictions of a test run.

    Args:
        cfg: Changed in place.
        folder: Where they go: masks, one PNG of class ids an image, or boxes, one text
            file a class and their archive.  Those of several data sets
            (:class:`s5_mm.MultiDatasetMetric`) go into a folder of the data set's name
            each.
    """
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        own = evaluator.get('metrics')
        if isinstance(own, dict):
            for name, metric in own.items():
                metric.update(output_dir=osp.join(folder, name), keep_results=True)
        else:
            evaluator.update(output_dir=folder, keep_results=True)


def switch_to_tta(cfg: Config) -> None:
    """Test with test-time augmentation.

    The ``tta_pipeline`` takes the place of the test loader's pipeline and of those that
    its sources, or parts of them, have of their own, which would win over it; so it
    must suit them all, in the size of the images for one.

    Args:
        cfg: Changed in place; needs ``tta_pipeline``, and outside of mmseg's scope
            ``tta_model``, the config of the wrapper that merges the views.

    Raises:
        KeyError: If the config lacks one of them.
    """
    if 'tta_pipeline' not in cfg:
        raise KeyError(f'{cfg.filename} has no tta_pipeline, which --tta needs')
    wrapper = cfg.get('tta_model')
    if wrapper is None and cfg.get('default_scope') != 'mmseg':
        raise KeyError(f'{cfg.filename} has no tta_model, which --tta needs')
    dataset = cfg.test_dataloader.dataset
    _drop_pipelines(dataset.get('sources'))
    dataset.pipeline = cfg.tta_pipeline
    # The hook wraps the model once its weights are loaded; a wrapper that is there
    # before would look for them under other names.
    hook = dict(type='PrepareTTAHook', tta_cfg=wrapper or dict(type='SegTTAModel'))
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), hook]


def _drop_pipelines(sources: Any) -> None:
    """Take away the pipelines of sources and of their parts, in place."""
    for source in sources.values() if isinstance(sources, dict) else sources or ():
        if isinstance(source, dict):
            source.pop('pipeline', None)
            _drop_pipelines(source.get('datasets'))
