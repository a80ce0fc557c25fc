"""What is loaded fits the model, or the run says why not."""

from __future__ import annotations

from typing import Literal

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, find_latest_checkpoint

from s5_mm.checkpoints import (
    convert,
    fit_to_model,
    match_classes,
    summarise_keys,
    unwrap,
)
from s5_mm.checkpoints.errors import SKIP_OPTION, CheckpointError
from s5_mm.registry import HOOKS

# What decides the classes: without it a score says nothing.
_CLASS_LAYERS = ('conv_seg.weight', 'fc_cls.weight')


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Translates and checks a checkpoint before the runner loads it.

    mmengine loads what fits and logs the rest: a checkpoint of another model trains
    or tests with random weights.  This hook accepts every origin that
    :func:`s5_mm.checkpoints.fit_to_model` recognises (MAE, the S5 release, bare
    segmentors, runs with and without teacher), names in one warning what was not
    used, and stops where nothing or the wrong shape is found, the file is of another
    network than the backbone (:func:`s5_mm.checkpoints.lacking_in`), or a detector was
    trained for other classes (:func:`s5_mm.checkpoints.match_classes`).

    Args:
        mismatch: 'raise' on a tensor of another shape, or 'skip' it: a decoder for
            other classes starts from random weights.  On the command line:
            ``--cfg-options default_hooks.checkpoint_fit.mismatch=skip``.
    """

    def __init__(self, mismatch: Literal['raise', 'skip'] = 'raise') -> None:
        self.mismatch = mismatch
        self._untrained: str | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Replace ``checkpoint['state_dict']`` by what the model can load.

        Args:
            runner: The runner that is about to load.
            checkpoint: What was read; changed in place.

        Raises:
            CheckpointError: Nothing matches, a shape differs, or the classes do.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        # A run that resumes by itself takes the last file of its folder.
        source = (
            runner._load_from
            or find_latest_checkpoint(runner.work_dir)
            or runner.work_dir
        )
        self._translate(runner, checkpoint, str(source))
        meta = checkpoint.get('meta')
        if meta and 'state_dict' in checkpoint:
            tensors, notes = match_classes(
                checkpoint['state_dict'],
                meta,
                _metainfo(runner),
                str(source),
                self.mismatch,
            )
            checkpoint['state_dict'] = tensors
            for note in notes:
                runner.logger.warning(f'{source}: {note}')
        state, report = fit_to_model(model, checkpoint, source, mismatch=self.mismatch)
        layers = [
            name
            for name in report.missing
            if name.endswith(_CLASS_LAYERS) and not name.startswith('teacher.')
        ]
        self._untrained = f'{source} lacks {summarise_keys(layers)}' if layers else None
        # Named already; mmengine would name them again.
        own = model.state_dict()
        state.update({name: own[name] for name in report.missing + report.mismatched})
        checkpoint['state_dict'] = state

    def before_test(self, runner: Runner) -> None:
        """Refuse to score class layers that no checkpoint has filled.

        Args:
            runner: The runner that is about to test.

        Raises:
            CheckpointError: The checkpoint lacks them, and ``mismatch`` is 'raise'.
        """
        if self._untrained and self.mismatch == 'raise':
            raise CheckpointError(
                f'{self._untrained}: these scores would be those of random weights; '
                'test with the config that it was trained with, or train with this one '
                f'first ({SKIP_OPTION} tests it as it is)'
            )

    @staticmethod
    def _translate(runner: Runner, checkpoint: dict, source: str) -> None:
        """Give a checkpoint the classes of its data sets, where its format knows them.

        A file of another detection code base does not name them, and they must be
        compared with the data's before anything is loaded.
        """
        converted = convert(unwrap(checkpoint, source))
        if not converted.meta:
            return
        for key in ('model', 'state_dict'):
            checkpoint.pop(key, None)
        checkpoint['state_dict'] = converted.state
        checkpoint['meta'] = converted.meta
        for note in converted.notes:
            runner.logger.info(f'{source}: {note}')
        if converted.unused:
            names = summarise_keys(converted.unused)
            runner.logger.warning(f'{source}: not used from the file: {names}')


def _metainfo(runner: Runner) -> dict:
    """Meta information of the data that the run is about: training's, if it trains."""
    for loop in (runner._train_loop, runner._test_loop, runner._val_loop):
        dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
        if dataset is not None:
            return dict(getattr(dataset, 'metainfo', None) or {})
    return {}
