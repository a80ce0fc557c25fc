"""What the commands do to a config before they run it."""

from __future__ import annotations

import difflib
import inspect
import keyword
import os.path as osp
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from s5_mm.utils.ops import quiet_hosts, require_ops

#: Top-level settings that mmengine's runner reads.
RUNNER_KEYS = frozenset(inspect.signature(Runner.__init__).parameters) - {
    'self',
    'cfg',
}
_ALSO_READ = frozenset(
    {
        'compile',
        'find_unused_parameters',
        'model_wrapper_cfg',
        'runner_type',
        'sync_bn',
        'tta_model',
        'tta_pipeline',
    }
)


class OrderedConfig(Config):
    """A config whose text names its settings in the order in which they were given.

    The runner writes the text into the work directory and into checkpoints.
    mmengine's sorts by name (0.10.12): a run that is resumed from it has the data sets
    in another order, and with it other draws, batches and, as the optimizer counts its
    parameters, the moments of another data set's expert.  It is laid out by yapf too,
    which takes a second in each checkpoint.
    """

    @property
    def pretty_text(self) -> str:
        """The config as a Python file."""
        settings = self.to_dict().items()
        return ''.join(f'{key} = {_text(value, 0)}\n' for key, value in settings)


def _text(value: Any, indent: int) -> str:
    """Write a setting as an expression, over several lines where it is long."""
    if isinstance(value, dict):
        named = all(
            isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)
            for key in value
        )
        start, stop = ('dict(', ')') if named else ('{', '}')
        keys = [f'{key}=' if named else f'{key!r}: ' for key in value]
        children = list(value.values())
    elif isinstance(value, (list, tuple)):
        start, stop = '[]' if isinstance(value, list) else '()'
        keys, children = [''] * len(value), list(value)
        if isinstance(value, tuple) and len(value) == 1:
            stop = ',)'
    elif isinstance(value, type):
        builtin = value.__module__ == 'builtins'
        return value.__name__ if builtin else f'{value.__module__}.{value.__name__}'
    else:
        return repr(value)
    parts = [
        key + _text(child, indent + 4)
        for key, child in zip(keys, children, strict=True)
    ]
    line = start + ', '.join(parts) + stop
    if len(line) + indent <= 88 and '\n' not in line:
        return line
    inner = ''.join(f'{" " * (indent + 4)}{part},\n' for part in parts)
    return f'{start}\n{inner}{" " * indent}{stop.lstrip(",")}'


def load_config(
    path: str,
    options: dict | None = None,
    work_dir: str | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config and apply the command line to it.

    Args:
        path: Config file.
        options: Settings to override, keys with dots.
        work_dir: Folder of the run; by default the config's own, else
            ``work_dirs/<name of the config>``.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Returns:
        The config.

    Raises:
        FileNotFoundError: If there is no such file.
        KeyError: If a top-level key is probably a misspelt setting.
        OpsMissingError: If it is one of detection and mmcv has no compiled ops.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'there is no config file {path}')
    cfg = Config.fromfile(path)
    object.__setattr__(cfg, '__class__', OrderedConfig)
    options = dict(options or {})
    if 'data_root' in options:
        move_data_root(cfg, options.pop('data_root'))
    cfg.merge_from_dict(options)
    check_keys(cfg)
    if cfg.get('default_scope') in ('mmdet', 'mmrotate'):
        require_ops()
        quiet_hosts()
    cfg.launcher = launcher
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', osp.splitext(osp.basename(path))[0])
    return cfg


def check_keys(cfg: Config) -> None:
    """Refuse top-level keys that look like a misspelt setting.

    mmengine ignores what it does not know, so ``optim_wraper = ...`` would train
    with other settings than those that were written.

    Args:
        cfg: The config.

    Raises:
        KeyError: Naming the key and the setting that was probably meant.
    """
    known = RUNNER_KEYS | _ALSO_READ
    for key in cfg:
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.88)
        if near:
            raise KeyError(
                f'{cfg.filename}: unknown setting {key!r}, did you mean {near[0]!r}?'
            )


def move_data_root(cfg: Config, root: str) -> None:
    """Point every data set of a config to another folder.

    The text of a config has been evaluated when its variables can be overridden, so
    ``--cfg-options data_root=...`` alone would change nothing but the variable.

    Args:
        cfg: Changed in place: every setting called ``data_root`` that starts with the
            config's own top-level ``data_root``.
        root: The new folder.

    Raises:
        KeyError: If the config has no top-level ``data_root``.
    """
    if 'data_root' not in cfg:
        raise KeyError(f'{cfg.filename} has no top-level data_root to override')
    old, new = cfg.data_root, osp.join(root, '')

    def move(node: object) -> None:
        if isinstance(node, dict):
            value = node.get('data_root')
            if isinstance(value, str) and value.startswith(old):
                node['data_root'] = new + value[len(old) :]
            node = list(node.values())
        if isinstance(node, (list, tuple)):
            for child in node:
                move(child)

    move(cfg._cfg_dict)


def pass_batch_size(dataloader: Any) -> Any:
    """Tell a sampler that shares out a batch by a rule how many samples there are.

    Args:
        dataloader: Config of a loader, or a loader, which is returned as it is.

    Returns:
        The config; its sampler, if its ``shares`` are no list, has the loader's
        ``batch_size`` unless one is written there.
    """
    sampler = dataloader.get('sampler') if isinstance(dataloader, dict) else None
    if not isinstance(sampler, dict) or 'shares' not in sampler:
        return dataloader
    if isinstance(sampler['shares'], (list, tuple)):
        return dataloader
    sampler = {'batch_size': dataloader['batch_size'], **sampler}
    return {**dataloader, 'sampler': sampler}


def switch_to_amp(cfg: Config, dtype: str) -> None:
    """Train in mixed precision.

    Args:
        cfg: Changed in place.
        dtype: 'bfloat16' or 'float16'.

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
    """
    if checkpoint == 'auto':
        cfg.resume = osp.isfile(osp.join(cfg.work_dir, 'last_checkpoint'))
        if cfg.resume:
            cfg.load_from = None
        return
    if not osp.isfile(checkpoint):
        raise FileNotFoundError(f'--resume: there is no checkpoint {checkpoint}')
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
