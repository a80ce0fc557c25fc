"""Writes what a scorer says of the crops of a curation run, part by part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from s5_mm.checkpoints import CheckpointError
from s5_mm.io.hashing import file_sha256
from s5_mm.registry import HOOKS

from .crop_stream import CropStream
from .prototypes_file import load_prototypes
from .score_parts import check_scorer, write_scores


@HOOKS.register_module()
class PatchScoringHook(Hook):
    """Collects the scores of a test loop and writes each part once it is complete.

    Scores stay on the device until their part is complete, one transfer and one wait a
    part.  A run that is killed loses the parts in flight; the next one, with any number
    of ranks and workers, goes on with those that have no file.

    Args:
        prototypes: File of the prototypes, relative to the run's directory
            (``cluster/prototypes.npz``); None for the pass that makes their features.
        features: Write the features too, float16.
        gains: Of the copies that have features too, see
            :meth:`s5_mm.PatchScorer.set_gains`.

    Raises:
        ValueError: Before the test, if model or data are no scorer and no crop stream.
        CheckpointError: If the checkpoint was trained for other classes.
        PrototypesError: If the prototypes are of another checkpoint or backbone.
        ManifestError: If there are parts that something else has scored.
    """

    def __init__(
        self,
        prototypes: str | None = None,
        features: bool = False,
        gains: Sequence[float] = (),
    ) -> None:
        self.prototypes, self.features = prototypes, features
        self.gains = tuple(gains)
        self._scorer: dict[str, Any] = {}
        self._open: dict[str, dict[int, tuple[int, dict[str, Tensor]]]] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the classes of the checkpoint with the config's.

        Args:
            runner: The runner.
            checkpoint: What was read.

        Raises:
            CheckpointError: If they are others, or in another order: the background of
                Eq. 1 would be another class.
        """
        info = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        found = list(info.get('classes') or ())
        wanted = list(_stream(runner).metainfo.get('classes') or ())
        if found and wanted and found != wanted:
            raise CheckpointError(
                f'{runner._load_from}: was trained for the {len(found)} classes '
                f'{found}, the config (test_dataloader.dataset.metainfo) has '
                f'{len(wanted)} {wanted}'
            )

    def before_test(self, runner: Runner) -> None:
        """Check what is going to score, and hand it the prototypes.

        Args:
            runner: The runner.
        """
        stream, model = _stream(runner), _model(runner)
        if not runner._load_from:
            raise ValueError('there is no checkpoint to score with (load_from)')
        checkpoint = file_sha256(runner._load_from)
        model.set_gains(self.gains)
        self._scorer = {
            'checkpoint': checkpoint,
            'batch_size': stream.batch_size,
            'features': self.features,
            'prototypes': None,
            **model.settings(),
        }
        self._open = defaultdict(dict)
        if self.prototypes is not None:
            path = stream.work_dir / self.prototypes
            known = load_prototypes(path, checkpoint)
            self._scorer['prototypes'] = file_sha256(path)
            model.set_prototypes(torch.from_numpy(known.prototypes))
        check_scorer(stream.output, self._scorer)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[dict[str, Tensor]] = (),
    ) -> None:
        """Keep the scores of a batch, and write its part if it was the last one of it.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Batch of a :class:`s5_mm.CropStream`.
            outputs: What :class:`s5_mm.PatchScorer` says of it.
        """
        place = data_batch['data_samples']
        seen = self._open[place['part']]
        seen[place['start']] = place['count'], outputs[0]
        stream = _stream(runner)
        if len(seen) < stream.num_batches(place['part']):
            return
        del self._open[place['part']]
        ids, passed = stream.passed(place['part'])
        write_scores(
            stream.output / place['part'],
            ids,
            passed,
            _gather([seen[start] for start in sorted(seen)], self.features),
            self._scorer,
        )


def _gather(
    batches: Sequence[tuple[int, dict[str, Tensor]]], features: bool
) -> dict[str, np.ndarray]:
    """Bring the scores of a part to the CPU, without those of the fillings."""
    names = [name for name in batches[0][1] if features or name != 'features']
    return {
        name: torch.cat([scores[name][:count] for count, scores in batches])
        .cpu()
        .numpy()
        for name in names
    }


def _stream(runner: Runner) -> CropStream:
    """Crop stream of the runner's test loop."""
    stream = runner.test_dataloader.dataset
    if not isinstance(stream, CropStream):
        raise ValueError(
            f'test_dataloader.dataset is {type(stream).__name__}, expected '
            's5_mm.CropStream'
        )
    return stream


def _model(runner: Runner) -> Any:
    """Scorer of the runner, unwrapped."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if not hasattr(model, 'set_prototypes'):
        raise ValueError(f'model is {type(model).__name__}, expected s5_mm.PatchScorer')
    return model
