"""Says whether the unlabelled branch learns anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from s5_mm.registry import HOOKS
from s5_mm.utils.argument_checks import check_number

from .pseudo_label_warnings import PseudoLabelWarnings, Reading

if TYPE_CHECKING:
    from s5_mm.models.segmentors import FixMatch

_KEY = 'pseudo_label_warnings'


@HOOKS.register_module()
class PseudoLabelStatsHook(Hook):
    """Logs the classes of the confident pseudo-labels, and warns of bad ones.

    Every ``interval`` iterations it reads the counts that the model kept on its
    device (one synchronisation), prints one line, and sends ``pseudo/mask_ratio``
    and ``pseudo/share_<class>`` to the visualizer's backends (TensorBoard).

    It warns, once per run and also over resumes, of what ``patience`` readings in a row
    have found:

    * less than 0.1 % of the pixels count;
    * 99.9 % or more count, although the rule is meant to separate them;
    * a class has less than 1/20 of the share in them that it has in the labels;
    * one class has more than 95 % of them, and less than 80 % of the labels.

    Args:
        interval: Iterations between two readings.
        patience: Readings in a row after which it warns.

    Raises:
        ValueError: If one of them is below 1.
    """

    priority = 'LOW'

    def __init__(self, interval: int = 50, patience: int = 4) -> None:
        self.interval = check_number('interval', interval, 1)
        self.patience = check_number('patience', patience, 1)
        self._warnings: PseudoLabelWarnings | None = None
        self._resumed: dict[str, Any] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what a resumed run has been warned of.

        Args:
            runner: The runner.
            checkpoint: What was loaded.
        """
        if runner._resume:
            self._resumed = checkpoint.get('meta', {}).get(_KEY)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put what was warned of into the checkpoint.

        Args:
            runner: The runner.
            checkpoint: What is going to be saved; changed in place.
        """
        state = self._resumed if self._warnings is None else self._warnings.state()
        if state is not None:
            checkpoint['meta'][_KEY] = state

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Read, log and warn when it is time.

        Args:
            runner: The runner; its model is a :class:`s5_mm.models.FixMatch`.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Not used.
        """
        if not self.every_n_train_iters(runner, self.interval):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        *counts, valid = model.read_pseudo_counts().tolist()
        if not valid:  # the burn-in: nobody has asked for pseudo-labels yet
            return
        names = _class_names(runner, len(counts))
        reading = Reading(
            dict(zip(names, counts, strict=True)),
            valid,
            dict(zip(names, model.label_counts.tolist(), strict=True)),
        )
        self._log(runner, reading)
        if self._warnings is None:
            self._warnings = self._watch(model)
        for line in self._warnings.read(reading):
            runner.logger.warning(line)

    def _log(self, runner: Runner, reading: Reading) -> None:
        """Log the shares of the classes."""
        confident = max(sum(reading.passed.values()), 1)
        shares = {name: count / confident for name, count in reading.passed.items()}
        ratio = reading.mask_ratio
        scalars = {f'pseudo/share_{name}': share for name, share in shares.items()}
        runner.visualizer.add_scalars(
            {'pseudo/mask_ratio': ratio, **scalars}, step=runner.iter + 1
        )
        listed = ', '.join(
            f'{name} {share:.0%}'
            for name, share in sorted(shares.items(), key=lambda item: -item[1])
            if share >= 0.005
        )
        runner.logger.info(f'pseudo-labels: {ratio:.1%} of pixels used ({listed})')

    def _watch(self, model: FixMatch) -> PseudoLabelWarnings:
        """Make the warnings of a model, where a resumed run had left them."""
        warnings = PseudoLabelWarnings(
            self.patience,
            self.patience * self.interval,
            _rule(model),
            model.threshold.passes_all,
        )
        if self._resumed is not None:
            warnings.resume(self._resumed)
        return warnings


def _rule(model: FixMatch) -> str:
    """Write the rule as ``semi_train_cfg`` has it."""
    config = model.train_cfg['threshold']
    if config is None:
        return f'conf_thresh={model.train_cfg["conf_thresh"]}'
    arguments = ', '.join(f'{key}={value!r}' for key, value in config.items())
    return f'threshold=dict({arguments})'


def _class_names(runner: Runner, count: int) -> list[str]:
    """Names of the classes, their numbers if the data set has none."""
    metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
    names = metainfo.get('classes') or range(count)
    return [str(name) for name in names]
