"""Cut the images of STAR into tiles that s5_mm.UnlabelledDataset reads.

    python tools/dataset_converters/star.py DOWNLOADS data/STAR

DOWNLOADS holds the owners' archives of the images of train, val and test (771, 238 and
264), or what is in them.  Images have up to 27,860x31,096 px, so each is cut from the
top down into <split>/<image>/<image>_<x>_<y>.png of 512 px, the last of a row or column
ending with the image; images.txt lists all tiles.  --size 0 takes the images over as
they are, which is what a curation wants that cuts its crops itself.  Labels are not
read.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from s5_mm.cli.command import start_command
from s5_mm.cli.conversion import run_converter
from s5_mm.datasets.conversion import (
    ConversionJob,
    CopyFile,
    CutTiles,
    Plan,
    SourceError,
    SourceFile,
    SourceTree,
    Tile,
    image_size,
    tile_windows,
)
from s5_mm.datasets.conversion.job_runner import SCRATCH
from s5_mm.datasets.conversion.unlabelled_converter import UnlabelledConverter


class Star(UnlabelledConverter):
    """Large satellite images of airports, ports, dams and the like."""

    name = 'star'
    layout = """
train/img/0001.png, ...
val/img/0002.png, ...
test/img264/0003.png, ... (or test/img)
packed or unpacked; the folders train, val and test are needed, and one that begins
with img in each"""
    parts = ('train', 'val', 'test')
    options = {
        '--size': {
            'type': int,
            'default': 512,
            'help': 'side of the tiles in pixels (512); 0: whole images',
        }
    }

    def plan(self, tree: SourceTree, args: argparse.Namespace) -> Plan:
        """See :class:`Converter`."""
        pattern = r'(train|val|test)/(?:.*/)?img[^/]*/([^/]+)\.(png|tif)'
        jobs, bad = [], []
        for match, file in tree.find(pattern):
            split = match[1].lower()
            try:
                job = self._job(split, match[2], match[3], file, args)
                jobs.append((split, job))
            except SourceError as error:
                bad.append(str(error))
        return self.make_plan(jobs, bad)

    @staticmethod
    def _job(
        split: str, name: str, suffix: str, file: SourceFile, args: argparse.Namespace
    ) -> ConversionJob:
        """Make the work of one image."""
        if not args.size:
            return CopyFile(file, f'{split}/{name}.{suffix}')
        width, height = image_size(file, args.dst / SCRATCH)
        windows = tile_windows(width, height, args.size, args.size)
        tiles = tuple(Tile(f'{name}_{x}_{y}', x, y, args.size) for x, y in windows)
        return CutTiles(file, tiles, f'{split}/{name}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run_converter(Star(), __doc__, __file__, argv)


if __name__ == '__main__':
    start_command(main)
