"""mmengine's runner with a screen that a person can read."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.dist import get_world_size
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from torch.utils.data import DataLoader

# Beginnings of messages of the hosts on which no user can act.
_LOG_ONLY = (
    'Hooks will be executed',
    'Distributed training is not used',
    'The prefix is not set in metric class',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    'Loads checkpoint by',
    'Line NMS is not compiled',  # mmseg imports mmdet's lane detectors
)


class ScreenFilter(logging.Filter):
    """Keeps environment, config, hooks and noise of the hosts off the screen."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown.

        Args:
            record: Of mmengine's logger.

        Returns:
            False for what the log file is for.
        """
        # mmengine's Runner._log_env writes environment and config.
        long = record.funcName == '_log_env' and record.levelno <= logging.INFO
        return not (long or record.getMessage().startswith(_LOG_ONLY))


class CommandRunner(Runner):
    """The runner of the commands: the log file gets all, the screen what matters.

    With ``log_level='DEBUG'`` the screen gets all, too.
    """

    def build_logger(
        self,
        log_level: int | str = 'INFO',
        log_file: str | None = None,
        **kwargs: Any,
    ) -> MMLogger:
        """Build the logger; its screen shows no environment and no config.

        Args:
            log_level: Of all handlers.
            log_file: File that gets all; by default in the folder of the run.
            **kwargs: Arguments of mmengine's logger.

        Returns:
            The logger.
        """
        logger = super().build_logger(log_level, log_file, **kwargs)
        for handler in logger.handlers:
            screen = not isinstance(handler, logging.FileHandler)
            if screen and handler.level > logging.DEBUG:
                handler.addFilter(ScreenFilter())
        return logger

    def announce(self, what: str) -> None:
        """Log in a few lines what is about to run.

        Args:
            what: 'train' or 'test'.
        """
        params = sum(one.numel() for one in self.model.parameters()) / 1e6
        device = next(self.model.parameters()).device
        model, processes = self.cfg.model.type, get_world_size()
        lines = [
            f'{what} {self.cfg.filename}',
            f'model {model}, {params:.2f} M parameters, on {device}, '
            f'{processes} process{"es" if processes > 1 else ""}',
        ]
        if what == 'train':
            # train() would build it first of all.
            loop = self.train_loop
            lines.append(
                f'{_data(loop.dataloader)}; {loop.max_iters} iterations, seed '
                f'{self.seed}'
            )
        else:
            lines.append(_data(self.test_loop.dataloader))
        lines += [
            f'results in {self.work_dir}',
            f'log {self.logger.log_file} (environment, config and all that follows)',
        ]
        self.logger.info('\n  '.join(lines))


def _data(loader: DataLoader) -> str:
    """Say how much data a loader has."""
    dataset: Any = loader.dataset  # torch's type has no length
    names = getattr(dataset, 'source_names', ('',))
    lengths = getattr(dataset, 'source_lengths', (len(dataset),))
    parts = ', '.join(
        f'{name} {length:,}'.strip()
        for name, length in zip(names, lengths, strict=True)
    )
    sampler = getattr(loader, 'batch_sampler', None)
    batch = getattr(sampler, 'batch_size', None)
    return f'data {parts} images' + (f', batches of {batch}' if batch else '')
