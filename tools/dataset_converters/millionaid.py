"""Put the images of Million-AID where s5_mm.UnlabelledDataset reads them.

    python tools/dataset_converters/millionaid.py DOWNLOADS data/MillionAID

DOWNLOADS holds the archives of the owners, one of the training images (10,000, in
folders of their classes) and several of the test images (990,848), or what is in them.
Images are taken over as they are, to <split>/<first four letters>/<image>.jpg, at most
10,000 a folder; images.txt lists them all.  Classes are not kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from s5_mm.cli.command import start_command
from s5_mm.cli.conversion import run_converter
from s5_mm.datasets.conversion import CopyFile, Plan, SourceTree
from s5_mm.datasets.conversion.unlabelled_converter import UnlabelledConverter


class MillionAid(UnlabelledConverter):
    """A million scenes of Google Earth."""

    name = 'millionaid'
    layout = """
train.zip       train/<class>/.../P0115678.jpg
test*.zip       test/P0000001.jpg, ...
packed or unpacked; a folder or an archive train... and test... is needed"""
    parts = ('train', 'test')

    def plan(self, tree: SourceTree, args: argparse.Namespace) -> Plan:
        """See :class:`Converter`."""
        found = tree.find(r'(train|test)[^/]*/(?:.*/)?(P\d{7}\.jpg)')
        names = ((match[1].lower(), match[2], file) for match, file in found)
        return self.make_plan(
            (split, CopyFile(file, f'{split}/{name[:4]}/{name}'))
            for split, name, file in names
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run_converter(MillionAid(), __doc__, __file__, argv)


if __name__ == '__main__':
    start_command(main)
