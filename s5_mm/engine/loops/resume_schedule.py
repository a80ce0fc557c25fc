"""What becomes of the learning rate when a training resumes."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from s5_mm.utils.argument_checks import check_choice

from .saved_config import config_changes, read_saved_config
from .schedule_length import apply_changes, latest_end, span_of, stretch

MODES = ('keep', 'extend', 'restart')
_KEY = 'schedule'
_MADE_FOR = 'made_for'  # settings that the schedule of the checkpoint follows
_SHOWN = 30  # changed settings that are listed
_SETTING = 'train_cfg.resume_schedule'
# What a schedule is made of.
_PARTS = ('optim_wrapper.optimizer', 'optim_wrapper.paramwise_cfg', 'param_scheduler')
_LENGTH = ('train_cfg.max_iters', 'train_cfg.max_epochs')


class ResumeScheduleHook(Hook):
    """Keep, extend or restart the schedule of a run that resumes, and say which.

    Registered by the training loop itself.

    Args:
        mode: See :class:`s5_mm.engine.loops.ResumableIterLoop`.

    Raises:
        ValueError: There is no such mode.
    """

    priority = 'HIGH'

    def __init__(self, mode: str = 'keep') -> None:
        check_choice(_SETTING, mode, MODES)
        self.mode = mode
        self._meta: dict[str, Any] = {}
        self._groups: list[dict[str, Any]] = []
        self._record: dict[str, Any] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what is compared, before the optimizer's state is loaded.

        Args:
            runner: The runner of the training process.
            checkpoint: What was loaded.
        """
        if runner._resume:
            self._meta = dict(checkpoint.get('meta', {}))
            groups = runner.optim_wrapper.param_groups
            if isinstance(groups, list):  # several optimizers have a dict
                self._groups = [_settings(own) for own in groups]

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note in the checkpoint that its schedule is not simply the config's.

        Args:
            runner: The runner of the training process.
            checkpoint: What is going to be saved; changed in place.
        """
        if self._record:
            checkpoint['meta'][_KEY] = dict(self._record)

    def resume(self, runner: Runner, iteration: int) -> None:
        """Apply the mode to a run that has loaded its checkpoint.

        Args:
            runner: The runner of the training process.
            iteration: Number of iterations that are complete.

        Raises:
            ValueError: Checkpoint and settings do not go together.
        """
        if iteration > runner.max_iters:
            raise ValueError(
                f'the checkpoint is at iteration {iteration}, but the training ends at '
                f'{runner.max_iters}; give a larger train_cfg.max_iters, or resume an '
                'earlier checkpoint'
            )
        record = self._meta.get(_KEY)
        self._record = dict(record) if isinstance(record, dict) else {}
        old = read_saved_config(self._meta.get('cfg'))
        if old:
            old = _as_scheduled(old, self._record.pop(_MADE_FOR, None))
        new = read_saved_config(runner.cfg.pretty_text)
        changes = config_changes(old, new) if old and new else {}
        _refuse_optimizer(changes)
        mode = self.mode
        if self._record.get('mode') == mode and not _touched(
            changes, *_PARTS, *_LENGTH
        ):
            mode = 'keep'  # the run that was extended or restarted goes on
        if mode != 'keep':
            if iteration >= runner.max_iters:
                raise ValueError(
                    f'{_SETTING}={mode!r}: the checkpoint is at iteration {iteration} '
                    f'and the training ends at {runner.max_iters}, nothing is left; '
                    'give a larger train_cfg.max_iters'
                )
            if isinstance(runner.param_schedulers, dict):
                raise ValueError(
                    f'{_SETTING}={mode!r} works with one optimizer, this run has '
                    f"{sorted(runner.param_schedulers)}; use 'keep'"
                )
        rate = _rate(runner)
        if mode == 'keep':
            _refuse_schedulers(changes)
            if _touched(changes, *_PARTS, *_LENGTH):
                self._record[_MADE_FOR] = _schedule_parts(old or {})
            said = "optimizer settings and schedule are the checkpoint's"
        elif mode == 'extend':
            self._extend(runner, iteration, old or {}, changes)
            said = "optimizer settings are the config's, its schedule was recomputed"
        else:
            self._restart(runner, iteration)
            said = "optimizer settings are the config's, its schedule begins here"
        now = _rate(runner)
        runner.logger.info(
            f'Resumed at iteration {iteration} of {runner.max_iters} with {_SETTING}='
            f'{self.mode!r}: weights, optimizer state and histories are the '
            f"checkpoint's; {said} (lr {rate:.6g} -> {now:.6g}); all else is the "
            "config's."
        )
        _report(runner, changes, mode, known=bool(old and new))

    def _extend(
        self, runner: Runner, iteration: int, old: dict, changes: dict[str, str]
    ) -> None:
        """Recompute the curve for the new length, up to this iteration."""
        start = self._record.get('start', 0)
        start = start if isinstance(start, int) and 0 <= start <= iteration else 0
        saved = old.get('param_scheduler')
        schedulers = _listed(runner.cfg.get('param_scheduler'))
        ends: dict[str, Any] = {}
        if not _touched(changes, 'param_scheduler'):  # what an earlier one has moved
            ends = dict(self._record.get('ends', {}))
        schedulers = apply_changes(schedulers, ends)
        saved = apply_changes(_listed(saved), ends) if ends else _listed(saved)
        length = len(runner.train_dataloader)
        before = span_of(old.get('train_cfg'), length, start)
        after = span_of(runner.cfg.train_cfg, length, start)
        if before is not None and after is not None and before != after:
            ends |= stretch(schedulers, saved, before, after)
        schedulers = apply_changes(schedulers, ends)
        self._rebuild(runner, schedulers, start)
        runner.optim_wrapper._global_step = 0  # or the host warns of a missing step
        for _ in range(iteration - start):
            for scheduler in runner.param_schedulers or ():
                scheduler.step()
        self._record = dict(mode='extend', start=start, ends=ends)

    def _restart(self, runner: Runner, iteration: int) -> None:
        """Begin the schedule of the config at this iteration."""
        schedulers = _listed(runner.cfg.get('param_scheduler'))
        left = span_of(runner.cfg.train_cfg, len(runner.train_dataloader), iteration)
        for index, scheduler in enumerate(schedulers):
            key, end = latest_end(scheduler)
            if left is not None and end > left.of(scheduler):
                raise ValueError(
                    f"{_SETTING}='restart': param_scheduler.{index}.{key} puts the end "
                    f'{end:g} steps after iteration {iteration}, but '
                    f'{left.of(scheduler):g} are left; lengthen train_cfg or shorten '
                    'the scheduler'
                )
        self._rebuild(runner, schedulers, iteration)
        self._record = dict(mode='restart', start=iteration)

    def _rebuild(self, runner: Runner, schedulers: list[dict], start: int) -> None:
        """Give the optimizer the config's settings and new schedulers."""
        for group, own in zip(
            runner.optim_wrapper.param_groups, self._groups, strict=True
        ):
            group.update(own)
        if not schedulers:
            return
        left = span_of(runner.cfg.train_cfg, len(runner.train_dataloader), start)
        if left is not None:  # the host's default is the end of the whole training
            for scheduler in schedulers:
                scheduler.setdefault('end', int(left.of(scheduler)))
        runner.param_schedulers = runner.build_param_scheduler(schedulers)


def _schedule_parts(config: dict[str, Any]) -> dict[str, Any]:
    """Take what a schedule is made of out of a config, by dotted key."""
    parts = {}
    for key in (*_PARTS, *_LENGTH):
        section, _, name = key.partition('.')
        own = config if not name else config.get(section)
        if isinstance(own, dict) and (name or section) in own:
            parts[key] = own[name or section]
    return parts


def _as_scheduled(config: dict[str, Any], parts: Any) -> dict[str, Any]:
    """Put back what the schedule was made of.

    A run that resumed with 'keep' under other settings writes those into its
    checkpoints, and goes on by the old ones.

    Args:
        config: Config in the checkpoint.
        parts: As from :func:`_schedule_parts`; out of a file, so perhaps no mapping.

    Returns:
        The config that the schedule follows.
    """
    if not isinstance(parts, dict):
        return config
    config = dict(config)
    for key in (*_PARTS, *_LENGTH):
        section, _, name = key.partition('.')
        if not name:
            config.pop(section, None)
            config.update({section: parts[key]} if key in parts else {})
        elif isinstance(config.get(section), dict):
            own = {k: value for k, value in config[section].items() if k != name}
            own.update({name: parts[key]} if key in parts else {})
            config[section] = own
    return config


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    """Copy the settings of a parameter group, as they are before any schedule."""
    return {
        key: group.get(f'initial_{key}', value)
        for key, value in group.items()
        if key != 'params'
    }


def _rate(runner: Runner) -> float:
    """Return the learning rate, of several optimizers the first one's."""
    return next(iter(runner.optim_wrapper.get_lr().values()))[0]


def _listed(schedulers: Any) -> list[dict[str, Any]]:
    """Return configs of schedulers as a list of dicts."""
    if not schedulers:
        return []
    several = schedulers if isinstance(schedulers, (list, tuple)) else [schedulers]
    return [dict(own) for own in several if isinstance(own, dict)]


def _touched(changes: dict[str, str], *parts: str) -> list[str]:
    """Return the changed settings that belong to some part of the config."""
    return [
        key for key in changes if any(f'{key}.'.startswith(f'{own}.') for own in parts)
    ]


def _refuse_optimizer(changes: dict[str, str]) -> None:
    """Refuse the state of one optimizer for another."""
    key = 'optim_wrapper.optimizer.type'
    if key in changes:
        raise ValueError(
            f'{key} was changed ({changes[key]}): the state in the checkpoint is of '
            'another optimizer; restore it, or start a new training from the weights '
            'with load_from instead of --resume'
        )


def _refuse_schedulers(changes: dict[str, str]) -> None:
    """Refuse to put the state of one scheduler into another."""
    for key in _touched(changes, 'param_scheduler'):
        if key == 'param_scheduler' or key.endswith('.type'):
            raise ValueError(
                f'{key} was changed ({changes[key]}), and the state in the checkpoint '
                f"is of the old one; restore it, or set {_SETTING}='extend' or "
                "'restart'"
            )


def _report(runner: Runner, changes: dict[str, str], mode: str, known: bool) -> None:
    """List what differs from the run of the checkpoint."""
    if not known:
        runner.logger.warning(
            'The checkpoint has no readable config: what has changed since is unknown.'
        )
    if not changes:
        return
    lines = [f'  {key}: {change}' for key, change in list(changes.items())[:_SHOWN]]
    if len(changes) > _SHOWN:
        lines.append(f'  and {len(changes) - _SHOWN} more')
    runner.logger.warning(
        '\n'.join(['Settings that differ from the run of the checkpoint:', *lines])
    )
    ignored = _touched(changes, *_PARTS) + _touched(changes, *_LENGTH)
    if mode == 'keep' and ignored:
        runner.logger.warning(
            f'{", ".join(ignored)}: the learning rate does not follow, the '
            f"checkpoint's schedule goes on. {_SETTING}='extend' recomputes the curve "
            "for the new settings and length, 'restart' begins it here; both keep "
            'weights and optimizer state'
        )
