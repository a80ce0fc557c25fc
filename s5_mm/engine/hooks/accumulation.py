"""Where an accumulation of gradients ends."""

from __future__ import annotations

from mmengine.runner import Runner


def announce_accumulation(runner: Runner, interval: int) -> None:
    """Log where checkpoints go that are due in the middle of an accumulation.

    Args:
        runner: The runner of the training process.
        interval: Iterations between two checkpoints.
    """
    count = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    if interval > 0 and interval % count:
        runner.logger.info(
            f'optim_wrapper.accumulative_counts={count}: checkpoints are saved at the '
            f'end of an accumulation, the first after {-(-interval // count) * count} '
            f'iterations instead of {interval}'
        )


def accumulation_ends(runner: Runner) -> bool:
    """Return whether the iteration that just ran has updated the parameters.

    Args:
        runner: The runner of the training process.

    Returns:
        False in the middle of an accumulation of gradients, which a checkpoint does
        not hold.
    """
    wrapper = runner.optim_wrapper
    if getattr(wrapper, '_accumulative_counts', 1) == 1:
        return True
    return wrapper.should_update()
