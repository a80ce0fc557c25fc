"""Put the images of SAMRS where s5_mm.UnlabelledDataset reads them.

    python tools/dataset_converters/samrs.py DOWNLOADS data/SAMRS

DOWNLOADS holds the owners' archives of the images of the three subsets, or what is in
them; a folder or an archive tells the subset: SOTA (or dotav2...), SIOR (or dior...)
and FAST (or fair1m...).  Images are taken over as they are, to <subset>/<image>;
images.txt lists them all.  Labels are not read.

SIOR has the test images of DIOR-R, and SOTA those of iSAID: a run that learns from
their pseudo-labels has seen the images that it is judged on.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from s5_mm.cli.command import start_command
from s5_mm.cli.conversion import run_converter
from s5_mm.datasets.conversion import CopyFile, Plan, SourceTree
from s5_mm.datasets.conversion.unlabelled_converter import UnlabelledConverter

SUBSETS = {'sota': 'sota|dotav2', 'sior': 'sior|dior', 'fast': 'fast|fair1m'}


class Samrs(UnlabelledConverter):
    """Images of DOTA-v2.0, DIOR and FAIR1M, in tiles."""

    name = 'samrs'
    layout = """
dotav2_1024/trainval/images/*.png                        (SOTA)
dior/JPEGImages-trainval/*.jpg, dior/JPEGImages-test/*.jpg  (SIOR)
fair1m_1024/trainval/images/*.png                        (FAST)
packed or unpacked; a folder or an archive of each of these names, or of the subset's,
is needed, and in it a folder or an archive that begins with images or JPEGImages"""
    parts = tuple(SUBSETS)

    def plan(self, tree: SourceTree, args: argparse.Namespace) -> Plan:
        """See :class:`Converter`."""
        jobs = []
        pattern = r'(?:images|JPEGImages)[^/]*/([^/]+\.(?:png|jpg|jpeg|tif))'
        for match, file in tree.find(pattern):
            for subset, names in SUBSETS.items():
                if re.search(rf'(?:^|/)(?:{names})[^/]*/', file.name, re.IGNORECASE):
                    jobs.append((subset, CopyFile(file, f'{subset}/{match[1]}')))
        return self.make_plan(jobs)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run_converter(Samrs(), __doc__, __file__, argv)


if __name__ == '__main__':
    start_command(main)
