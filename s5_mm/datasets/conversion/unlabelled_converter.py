"""Images without labels: folders of files, and a list of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from .converter import Converter, Plan
from .jobs import ConversionJob

LIST = 'images.txt'
"""File in the destination with one image a line, for ``ann_file`` of a data set."""


class UnlabelledConverter(Converter):
    """A converter to ``<split>/.../<image>`` and one list of all images.

    Attributes:
        parts: The splits, which are folders of the destination.
    """

    parts: Sequence[str]

    def make_plan(
        self, jobs: Iterable[tuple[str, ConversionJob]], missing: Sequence[str] = ()
    ) -> Plan:
        """Put a plan together.

        Args:
            jobs: Split and job of each file of the source.
            missing: What the source lacks, a line each.

        Returns:
            The plan, with the list of all images and the numbers of files.
        """
        taken = list(jobs)
        images = sorted(name for _, job in taken for name in job.outputs)
        parts = [part for part, _ in taken]
        return Plan(
            [job for _, job in taken],
            list(missing),
            {LIST: ''.join(f'{name}\n' for name in images)},
            {part: parts.count(part) for part in self.parts},
        )

    def splits(self, args: argparse.Namespace) -> dict[str, dict]:
        """See :class:`Converter`."""
        return {
            part: {
                'type': 's5_mm.UnlabelledDataset',
                'data_root': str(args.dst),
                'data_dir': part,
            }
            for part in self.parts
        }

    def folder(self, split: str, args: argparse.Namespace) -> str:
        """See :class:`Converter`."""
        return split
