"""Fixed shares of several sources in each batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, islice
from math import ceil
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from s5_mm.registry import DATA_SAMPLERS
from s5_mm.utils.argument_checks import check_number
from s5_mm.utils.randomness import SampleKey, StreamIndex, View, sample_generator

from .rare_class import RareClassSampling
from .shares import resolve_shares


@DATA_SAMPLERS.register_module()
class MultiSourceSampler(Sampler):
    """Endless stream with ``shares[s]`` samples of source ``s`` in each batch.

    A source of length ``L`` is a stream of its own: epoch after epoch of ``L``
    samples, each epoch a new permutation.  With ``W`` ranks, the ``j``-th sample of
    source ``s`` on rank ``r`` at step ``t`` has the position ``p = t*W*n + r*n + j``,
    ``n = shares[s]``, and is image ``permutation(seed, s, p // L)[p % L]``.  So the
    global batches depend neither on the number of ranks nor on that of workers, any
    position is reached at once, and no share can make it hang (mmdet's hangs when a
    share rounds to 0, and cannot skip).

    Each ``iter()`` starts at the place set by :meth:`skip`, at the beginning without
    it: iterating is a function of the arguments and changes nothing.

    Args:
        dataset: A :class:`s5_mm.MultiSourceDataset`.
        shares: Samples of each source in a batch of one rank, a list or a dict by name;
            0 leaves a source out.  Or how ``batch_size`` samples are shared out, each
            source getting at least one: 'equal', 'size' (by the number of images) or
            ``dict(temperature=T)`` (by its T-th root: 1 is 'size', large T 'equal').
        batch_size: Samples in a batch of one rank, for shares that are a rule;
            :class:`s5_mm.ResumableIterLoop` passes that of the loader.
        seed: Seed of the order and of every draw; None: one for all ranks, drawn by
            mmengine.
        follows: For each source None, or the number of a source whose order it takes
            over, with other draws.  ``[None, None, 1]`` pairs each image of source 1
            with another view of itself, the CutMix partner of the release.
        sampling: Name of a labelled source -> config of how its images are drawn
            instead of by permutations, such as
            ``dict(sup=dict(type='s5_mm.RareClassSampling'))``; its followers draw the
            same images.

    Raises:
        TypeError: If the data set has no sources.
        ValueError: If shares, follows or sampling do not fit the sources.
    """

    def __init__(
        self,
        dataset: Any,
        shares: Sequence[int] | Mapping[str, float] | str,
        seed: int | None = None,
        follows: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        sampling: Mapping[str, Any] | None = None,
    ) -> None:
        lengths = getattr(dataset, 'source_lengths', None)
        if lengths is None:
            raise TypeError(
                f'MultiSourceSampler got a {type(dataset).__name__}, expected a '
                's5_mm.MultiSourceDataset'
            )
        self.lengths = tuple(lengths)
        self.shares = resolve_shares(
            shares, dataset.source_names, self.lengths, batch_size
        )
        self.leaders = _check(dataset.source_names, self.lengths, self.shares, follows)
        self.sampling = _open_sampling(dataset, self.leaders, sampling or {})
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.batch_size = sum(self.shares)
        self._starts = (0, *accumulate(self.lengths))[:-1]
        self._skipped = 0

    def __len__(self) -> int:
        """Samples of this rank in an epoch; the stream itself is endless.

        An epoch is as long as the source that takes longest to be seen once, to whole
        batches, as in the release, which repeats the shorter sources.
        """
        steps = max(
            ceil(length / (share * self.world_size))
            for length, share in zip(self.lengths, self.shares, strict=True)
            if share
        )
        return steps * self.batch_size

    def __iter__(self) -> Iterator[StreamIndex]:
        step, rest = divmod(self._skipped, self.batch_size)
        return islice(self._stream(step), rest, None)

    def skip(self, num_samples: int) -> None:
        """Start the next ``iter()`` further on, at no cost.

        Args:
            num_samples: Samples of this rank that were already used, counted from the
                beginning of training.

        Raises:
            ValueError: If it is negative.
        """
        check_number('num_samples', num_samples, 0)
        self._skipped = num_samples

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: epochs belong to the sources, not to the loop."""

    def _stream(self, step: int) -> Iterator[StreamIndex]:
        """Yield the samples of this rank from a step on."""
        orders = [
            _Order(self.seed, leader, self.lengths[leader], self.sampling.get(leader))
            for leader in self.leaders
        ]
        while True:
            for source, share in enumerate(self.shares):
                first = (step * self.world_size + self.rank) * share
                for position in range(first, first + share):
                    image, wanted = orders[source][position]
                    yield StreamIndex(
                        self._starts[source] + image,
                        SampleKey(self.seed, source, position),
                        wanted,
                    )
            step += 1


class _Order:
    """The endless order of one source; keeps the permutation of the epoch at hand.

    Args:
        seed: Seed of the run.
        source: Number of the source.
        length: Images in it.
        sampling: Draws the images instead, if there is one.
    """

    def __init__(
        self,
        seed: int,
        source: int,
        length: int,
        sampling: RareClassSampling | None = None,
    ) -> None:
        self.seed, self.source, self.length = seed, source, length
        self.sampling = sampling
        self._epoch = -1
        self._permutation: np.ndarray = np.empty(0, np.int32)

    def __getitem__(self, position: int) -> tuple[int, tuple[int, int] | None]:
        if self.sampling is not None:
            key = SampleKey(self.seed, self.source, position)
            image, label = self.sampling.draw(key)
            return image, (label, self.sampling.crop_pixels)
        epoch, place = divmod(position, self.length)
        if epoch != self._epoch:
            key = SampleKey(self.seed, self.source, epoch)
            images = np.arange(
                self.length, dtype=np.int32 if self.length < 2**31 else np.int64
            )
            sample_generator(key, View.ORDER).shuffle(images)
            self._epoch, self._permutation = epoch, images
        return int(self._permutation[place]), None


def _open_sampling(
    dataset: Any, leaders: Sequence[int], sampling: Mapping[str, Any]
) -> dict[int, RareClassSampling]:
    """Build what draws the images of some sources, by the number of the source."""
    names = dataset.source_names
    opened = {}
    for name, config in sampling.items():
        source = names.index(name) if name in names else None
        if source is None or leaders[source] != source:
            raise ValueError(
                f'sampling={{{name!r}: ...}}: expected a source of {list(names)} that '
                'follows no other'
            )
        opened[source] = DATA_SAMPLERS.build(config)
        try:
            opened[source].open(dataset.datasets[source])
        except ValueError as error:
            raise ValueError(f'sampling of source {name!r}: {error}') from error
    return opened


def _check(
    names: Sequence[str],
    lengths: Sequence[int],
    shares: Sequence[int],
    follows: Sequence[int | None] | None,
) -> tuple[int, ...]:
    """Check the arguments and say whose order each source takes."""
    if len(shares) != len(lengths):
        raise ValueError(
            f'shares={list(shares)} for the {len(lengths)} sources {list(names)}, '
            'expected one each'
        )
    if any(not isinstance(n, int) or n < 0 for n in shares) or sum(shares) == 0:
        raise ValueError(
            f'shares={list(shares)}, expected whole numbers of at least 0, not all 0'
        )
    follows = [None] * len(lengths) if follows is None else list(follows)
    if len(follows) != len(lengths):
        raise ValueError(
            f'follows={follows} for the {len(lengths)} sources {list(names)}, '
            'expected one entry each'
        )
    for source, leader in enumerate(follows):
        if leader is None:
            continue
        if (
            not 0 <= leader < len(lengths)
            or leader == source
            or follows[leader] is not None
        ):
            raise ValueError(
                f'follows={follows}: source {source} cannot follow {leader}, expected '
                'another source that follows none'
            )
        if (lengths[source], shares[source]) != (lengths[leader], shares[leader]):
            raise ValueError(
                f'follows={follows}: source {names[source]!r} ({lengths[source]} '
                f'images, share {shares[source]}) follows {names[leader]!r} '
                f'({lengths[leader]} images, share {shares[leader]}), expected equal '
                'lengths and shares'
            )
    return tuple(s if leader is None else leader for s, leader in enumerate(follows))
