"""From a list of samples to a batch, one branch per source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.utils.data import default_collate

from s5_mm.registry import FUNCTIONS


@FUNCTIONS.register_module()
def branch_collate(samples: Sequence[dict]) -> dict[str, dict[str, Any]]:
    """Group samples by source and stack their images.

    In a worker the stack is written straight into shared memory, so a batch crosses
    to the main process as one block per source instead of one per image.

    Args:
        samples: As :class:`s5_mm.PackSample` gives them; the ``source`` in the
            metainfo of ``data_samples`` says where they belong.

    Returns:
        ``inputs``, a dict of uint8 (N, C, H, W) by source, and ``data_samples``, a
        dict of lists of N samples; sources in the order of their first sample.

    Raises:
        ValueError: If a sample names no source, or the images of a source differ in
            size.
    """
    groups: dict[str, list[dict]] = {}
    for sample in samples:
        source = sample['data_samples'].metainfo.get('source')
        if source is None:
            raise ValueError(
                f'{sample["data_samples"].metainfo.get("img_path")}: the sample names '
                'no source, expected samples of s5_mm.MultiSourceDataset packed by '
                's5_mm.PackSample'
            )
        groups.setdefault(source, []).append(sample)
    inputs, data_samples = {}, {}
    for source, group in groups.items():
        shapes = {tuple(sample['inputs'].shape) for sample in group}
        if len(shapes) > 1:
            raise ValueError(
                f'source {source!r}: images of different shapes {sorted(shapes)} in '
                'one batch, expected one shape; crop them, e.g. by '
                's5_mm.RandomGeometry'
            )
        inputs[source] = default_collate([sample['inputs'] for sample in group])
        data_samples[source] = [sample['data_samples'] for sample in group]
    return {'inputs': inputs, 'data_samples': data_samples}
