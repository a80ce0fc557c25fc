"""Count what waits for the device during some training iterations."""

from collections import Counter

import torch

WATCHED = ('item', '__bool__', '__float__', '__int__', 'tolist', 'numpy', 'cpu')


def count_host_syncs(monkeypatch, first: int, stop: int) -> Counter:
    """Watch iterations ``first`` (0-based) to ``stop``, of all runs that follow.

    Returns:
        Calls by name; fills up while the training runs.
    """
    from s5_mm.engine.loops import ResumableIterLoop

    counts, armed = Counter(), [False]
    for name in WATCHED:
        plain = getattr(torch.Tensor, name)

        def counted(self, *args, _plain=plain, _name=name, **kwargs):
            if armed[0]:
                counts[_name] += 1
            return _plain(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, counted)
    plain_iter = ResumableIterLoop.run_iter

    def run_iter(self, data_batch):
        armed[0] = first <= self._iter < stop
        plain_iter(self, data_batch)
        armed[0] = False

    monkeypatch.setattr(ResumableIterLoop, 'run_iter', run_iter)
    return counts
