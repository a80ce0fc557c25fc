"""Says whether the unlabelled branch learns anything."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from s5_mm.registry import HOOKS


@HOOKS.register_module()
class PseudoLabelStatsHook(Hook):
    """Logs the classes of the confident pseudo-labels, and warns when there are none.

    Every ``interval`` iterations it reads the counts that the model kept on its
    device (one synchronisation), prints one line, and sends ``pseudo/mask_ratio``
    and ``pseudo/share_<class>`` to the visualizer's backends (TensorBoard).

    Args:
        interval: Iterations between two readings.
        patience: After this many readings in a row without one confident pixel it
            warns, and again after as many more.
    """

    priority = 'LOW'

    def __init__(self, interval: int = 50, patience: int = 4) -> None:
        if interval < 1 or patience < 1:
            raise ValueError(
                f'interval and patience must be at least 1, got {interval}, {patience}'
            )
        self.interval = interval
        self.patience = patience
        self._silent = 0

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
        confident = sum(counts)
        ratio = confident / valid
        names = _class_names(runner, len(counts))
        shares = {
            name: count / max(confident, 1)
            for name, count in zip(names, counts, strict=True)
        }
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
        self._silent = 0 if confident else self._silent + 1
        if self._silent and self._silent % self.patience == 0:
            runner.logger.warning(
                f'no pseudo-label has reached conf_thresh='
                f'{model.train_cfg["conf_thresh"]} in the last '
                f'{self._silent * self.interval} iterations: the unlabelled branch '
                'learns nothing. Start from pre-trained or supervised weights '
                '(load_from), train longer on labels first, or lower conf_thresh.'
            )


def _class_names(runner: Runner, count: int) -> list[str]:
    """Names of the classes, their numbers if the data set has none."""
    metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
    names = metainfo.get('classes') or range(count)
    return [str(name) for name in names]
