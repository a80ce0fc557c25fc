"""When unlabelled images begin to count, and how much."""

from __future__ import annotations

from mmengine.logging import MessageHub


class UnlabelledSchedule:
    """Burn-in on labels alone, then a linear ramp of lambda.

    The iteration and the length of the training are those of the runner.  A model that
    nobody trains is at iteration 0.

    Args:
        burn_in: First iterations in which only L_s counts, or their share of the
            training, in (0, 1).
        ramp: Iterations after the burn-in in which lambda grows to its full value, or
            their share of the training, in (0, 1).

    Raises:
        ValueError: If one of them is neither a number of iterations nor a share.
    """

    def __init__(self, burn_in: int | float, ramp: int | float) -> None:
        for key, value in (('burn_in', burn_in), ('ramp', ramp)):
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not (whole and value >= 0 or isinstance(value, float) and 0 < value < 1):
                raise ValueError(
                    f'semi_train_cfg.{key} must be a number of iterations >= 0, or a '
                    f'share of the training between 0 and 1, got {value!r}'
                )
        self.burn_in, self.ramp = burn_in, ramp

    def since_burn_in(self) -> int:
        """Return the iterations since the burn-in ended, negative before its end.

        Raises:
            ValueError: The training ends before lambda has its full value, or a share
                is asked for where the length is not known.
        """
        if not self.burn_in and not self.ramp:
            return self._iteration()
        length = MessageHub.get_current_instance().get_info('max_iters', None)
        burn_in, ramp = (self._iterations(v, length) for v in (self.burn_in, self.ramp))
        if length is not None and burn_in + ramp >= length:
            raise ValueError(
                f'semi_train_cfg.burn_in={self.burn_in} and ramp={self.ramp} take '
                f'{burn_in + ramp} iterations, the training has {length}: unlabelled '
                'images would never count fully; give shares, such as burn_in=0.5, '
                'ramp=0.1'
            )
        return self._iteration() - burn_in

    def weight(self, since: int) -> float:
        """Return the factor of lambda.

        Args:
            since: What :meth:`since_burn_in` returned.

        Returns:
            In [0, 1]: 0 in the burn-in, 1 after the ramp.
        """
        if since < 0:
            return 0.0
        if not self.ramp:
            return 1.0
        length = MessageHub.get_current_instance().get_info('max_iters', None)
        return min(1.0, (since + 1) / max(1, self._iterations(self.ramp, length)))

    def progress(self, since: int) -> float:
        """Return the share of the iterations with unlabelled images that are over.

        Args:
            since: What :meth:`since_burn_in` returned, at least 0.

        Returns:
            t/T, in [0, 1): 0 where the length of the training is not known.
        """
        length = MessageHub.get_current_instance().get_info('max_iters', None)
        if length is None:
            return 0.0
        burn_in = self._iteration() - since
        return since / (length - burn_in)

    @staticmethod
    def _iteration() -> int:
        """Return the iteration of the runner."""
        return MessageHub.get_current_instance().get_info('iter', 0)

    @staticmethod
    def _iterations(value: int | float, length: int | None) -> int:
        """Turn a share of the training into iterations."""
        if isinstance(value, int):
            return value
        if length is None:
            raise ValueError(
                f'semi_train_cfg has the share {value} of a training whose length is '
                'not known; outside of a runner give a number of iterations'
            )
        return round(value * length)
