"""The crops of a curation run, in batches that are the same for everybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch
from mmengine.dist import broadcast_object_list, get_dist_info
from torch.utils.data import IterableDataset, get_worker_info

from s5_mm.io.crop_tables.parquet import ManifestError, Parts, read_table
from s5_mm.io.images.fill import SMALL_POLICIES, SmallPolicy
from s5_mm.registry import DATASETS
from s5_mm.utils.argument_checks import check_choice, check_number

from ..planning.collections import read_collections
from ..planning.crops import read_crops
from ..planning.source_files import SourceFiles


@DATASETS.register_module()
class CropStream(IterableDataset):
    """Reads the planned crops that passed the gate, each source once.

    Yields whole batches, so the loader must not batch again::

        test_dataloader = dict(
            dataset=dict(type='s5_mm.CropStream', ...),
            batch_size=None,
            sampler=None,
            collate_fn=dict(type='torch.utils.data.default_convert'),
            num_workers=4,
        )

    A batch holds crops of one part; the last one of a part is filled up with its last
    crop.  So what goes through the network together depends on the plan alone, never on
    workers or ranks, and neither does any bit that comes out.  A part belongs to one
    worker of one rank; parts whose result is there are left out.

    Args:
        work_dir: Directory of the run.
        collections: As in the config of the run: where the sources are.
        batch_size: Crops of a batch, B.
        size: Side of a crop in pixels.
        small: What fills up crops of smaller images.
        high_byte: Take the upper byte of 16-bit samples.
        plan: Folder of the plan below ``work_dir``.
        gate: Folder of the quality gate's tables; None lets every crop pass.
        output: Folder of the results.
        metainfo: ``classes`` and ``palette`` of the network.

    Raises:
        ValueError: If an argument has a value that is not allowed.
        ManifestError: If a table is missing or does not fit the plan.
    """

    def __init__(
        self,
        work_dir: str,
        collections: Mapping[str, Mapping[str, Any]],
        batch_size: int = 16,
        size: int = 512,
        small: SmallPolicy = 'reflect',
        high_byte: bool = False,
        plan: str = 'plan',
        gate: str | None = 'scan',
        output: str = 'score',
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_number('batch_size', batch_size, 1)
        check_number('size', size, 1)
        check_choice('small', small, SMALL_POLICIES)
        self.work_dir = Path(work_dir)
        self.plan, self.output = self.work_dir / plan, self.work_dir / output
        self.gate = None if gate is None else self.work_dir / gate
        self.batch_size, self.size = batch_size, size
        self.small, self.high_byte = small, high_byte
        self.metainfo = dict(metainfo or {})
        sources = SourceFiles(self.plan, read_collections(collections))
        self._sources = sources.check_collections()
        names = list(Parts(self.plan))
        # Others may be writing: all ranks must share out the same list.
        agreed = [[name for name in names if not (self.output / name).exists()]]
        broadcast_object_list(agreed)
        self._batches = {name: self._count(name) for name in agreed[0]}
        rank, world = get_dist_info()
        self.parts = _share_out(self._batches, world)[rank]

    def __len__(self) -> int:
        """Number of batches of this rank."""
        return sum(self._batches[name] for name in self.parts)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Read the parts of this worker.

        Yields:
            ``inputs``, uint8 (B, 3, size, size) RGB, and ``data_samples``: the name
            of the ``part``; ``start``, the place of the first crop among those of the
            part that passed; ``count``, how many of them are no filling.

        Raises:
            ManifestError: If a source vanished or changed since it was planned.
            ImageError: If a source is damaged.
        """
        worker = get_worker_info()
        parts = self.parts
        if worker is not None:
            counts = {name: self._batches[name] for name in parts}
            parts = _share_out(counts, worker.num_workers)[worker.id]
        for name in parts:
            yield from self._read_part(name)

    def passed(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Say which crops of a part are to be looked at.

        Args:
            name: Name of the part.

        Returns:
            ``crop_id`` of all, uint64 (n,), and whether each passed, bool (n,).

        Raises:
            ManifestError: If the gate's table is of another plan.
        """
        ids = read_table(self.plan / name, ['crop_id'])['crop_id'].to_numpy()
        if self.gate is None:
            return ids, np.ones(len(ids), bool)
        table = read_table(self.gate / name, ['crop_id', 'rejected'])
        if not np.array_equal(table['crop_id'].to_numpy(), ids):
            raise ManifestError(
                f'{self.gate / name}: its crops are not those of {self.plan / name}; '
                'do the stage scan again (--redo scan)'
            )
        return ids, pc.equal(table['rejected'], '').to_numpy()

    def num_batches(self, name: str) -> int:
        """Number of batches of a part that is to be looked at; never 0."""
        return self._batches[name]

    def _count(self, name: str) -> int:
        """Count the batches of a part; one without a crop has an empty one."""
        passed = int(self.passed(name)[1].sum())
        return max(-(-passed // self.batch_size), 1)

    def _read_part(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the batches of a part."""
        _, passed = self.passed(name)
        total = int(passed.sum())
        batch, start = self._empty(), 0
        for number, crop in enumerate(self._crops(name, passed)):
            batch[number - start] = crop
            if number + 1 - start == self.batch_size or number + 1 == total:
                count = number + 1 - start
                batch[count:] = batch[count - 1]
                yield self._batch(batch, name, start, count)
                # A new one: the other may still be on its way to the device.
                batch, start = self._empty(), number + 1
        if not total:
            yield self._batch(batch, name, 0, 0)

    def _empty(self) -> np.ndarray:
        """Memory of a batch."""
        return np.zeros((self.batch_size, self.size, self.size, 3), np.uint8)

    def _batch(
        self, pixels: np.ndarray, name: str, start: int, count: int
    ) -> dict[str, Any]:
        """Give a batch the form the model takes."""
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
        samples = {'part': name, 'start': start, 'count': count}
        return {'inputs': images, 'data_samples': samples}

    def _crops(self, name: str, passed: np.ndarray) -> Iterator[np.ndarray]:
        """Read the crops of a part that passed, source by source."""
        table = read_table(self.plan / name).filter(passed)
        sources = table['source'].to_numpy()
        columns = [table[key].to_numpy() for key in ('x', 'y', 'width', 'height')]
        windows = np.stack(columns, 1)
        for number, source in self._sources.find(sources).items():
            source.check_unchanged()
            chosen = windows[sources == number]
            yield from read_crops(
                source.path, chosen, self.size, self.small, self.high_byte
            )


def _share_out(batches: Mapping[str, int], shares: int) -> list[list[str]]:
    """Share parts out evenly: the largest first, each to whoever has the least."""
    found: list[list[str]] = [[] for _ in range(shares)]
    load = [0] * shares
    for name in sorted(batches, key=lambda name: (-batches[name], name)):
        least = load.index(min(load))
        found[least].append(name)
        load[least] += batches[name]
    return [sorted(names) for names in found]
