"""Split large images with oriented boxes into patches, in the text format of DOTA.

    python tools/dataset_converters/dota_split.py DST --src DOTA/train DOTA/val
    python tools/dataset_converters/dota_split.py DST --src DOTA/test --no-ann

Each SRC has images/ and labelTxt/; --img-dirs and --ann-dirs name folders that are
called otherwise.  DST gets images/ and annfiles/ as mmrotate's splitter lays them out:
patches <image>__<size>__<x>___<y>.  A run that was stopped, whatever the way, goes on
when it is started again; --dry-run counts the patches first and --verify checks them
afterwards.  Exit status 1: some image or patch is bad and was named.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.datasets.patches import (
    PatchSplitter,
    SourceImage,
    SplitReport,
    SplitSettings,
    find_sources,
)
from s5_mm.datasets.patches.split_settings import (
    ANNOTATIONS,
    IMAGES,
    check_record,
    record_settings,
)
from s5_mm.io.atomic import remove_leftovers
from s5_mm.io.process_pool import map_unordered
from s5_mm.io.progress import StatusLine


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    add = parser.add_argument
    add('dst', type=Path, metavar='DST', help='folder of the patches')
    add('--src', nargs='+', metavar='SRC', help='folders with images/ and labelTxt/')
    add(
        '--img-dirs',
        nargs='+',
        metavar='DIR',
        help='folders of images, in place of SRC',
    )
    add(
        '--ann-dirs', nargs='+', metavar='DIR', help='folder of labels for each of them'
    )
    add('--no-ann', action='store_true', help='a test set: there are no labels')
    add('--sizes', nargs='+', type=int, default=[1024], help='sides of windows, px')
    add('--gaps', nargs='+', type=int, default=[200], help='overlap, px, one a size')
    add(
        '--rates',
        nargs='+',
        type=float,
        default=[1.0],
        help='multi-scale: every size and gap is divided by each, e.g. 0.5 1 1.5',
    )
    add('--img-rate-thr', type=float, default=0.6, help='share of window that is image')
    add('--iof-thr', type=float, default=0.7, help='share of object that is in window')
    add(
        '--padding-value',
        nargs=3,
        type=int,
        default=[104, 116, 124],
        metavar=('B', 'G', 'R'),
        help='blue, green, red beyond the image (104 116 124, the mean of ImageNet)',
    )
    add('--no-padding', action='store_true', help='patches end with the image')
    add('--save-ext', choices=('.png', '.jpg'), default='.png')
    add(
        '--high-byte',
        action='store_true',
        help='take the upper 8 bits of 16-bit images, which are refused without',
    )
    add(
        '--missing-ann',
        choices=('error', 'empty'),
        default='error',
        help='image without file of labels: name it, or take it as without objects',
    )
    add('--jobs', type=int, default=os.cpu_count() or 1, help='processes (all cores)')
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument('--dry-run', action='store_true', help='count, write nothing')
    mode.add_argument('--verify', action='store_true', help='check DST, write nothing')
    args = parser.parse_args(argv)
    if (args.src is None) == (args.img_dirs is None):
        parser.error('expected either --src or --img-dirs')
    if args.src and args.ann_dirs:
        parser.error('--ann-dirs belongs to --img-dirs, found it with --src')
    if args.img_dirs and not args.no_ann and not args.ann_dirs:
        parser.error('--img-dirs without --ann-dirs; a test set needs --no-ann')
    if args.no_ann and args.ann_dirs:
        parser.error('--no-ann and --ann-dirs exclude each other')
    return args


def sources_of(args: argparse.Namespace) -> list[SourceImage]:
    """List the images that the command line names."""
    img_dirs, ann_dirs = args.img_dirs, args.ann_dirs
    if args.src:
        img_dirs = [os.path.join(src, 'images') for src in args.src]
        ann_dirs = [os.path.join(src, 'labelTxt') for src in args.src]
    return find_sources(img_dirs, None if args.no_ann else ann_dirs)


def settings_of(args: argparse.Namespace) -> SplitSettings:
    """Put the settings of the command line together."""
    return SplitSettings(
        sizes=tuple(args.sizes),
        gaps=tuple(args.gaps),
        rates=tuple(args.rates),
        img_rate_thr=args.img_rate_thr,
        iof_thr=args.iof_thr,
        padding_value=None if args.no_padding else tuple(args.padding_value),
        save_ext=args.save_ext,
        high_byte=args.high_byte,
        missing_ann=args.missing_ann,
    )


def work(
    function: Callable[[SourceImage], SplitReport],
    patches: dict[SourceImage, int],
    jobs: int,
) -> list[SplitReport]:
    """Call a function for every image and show how far it is.

    Args:
        function: What to do with an image.
        patches: Images and the number of their patches.
        jobs: Processes.

    Returns:
        Reports, sorted by name.
    """
    # Large images first: the last one to be ready is then a small one.
    order = sorted(patches, key=lambda source: (-patches[source], source.name))
    total, start, line = sum(patches.values()), time.time(), StatusLine()
    reports: list[SplitReport] = []
    done = passed = bad = 0
    for report in map_unordered(function, order, jobs):
        reports.append(report)
        bad += bool(report.problems)
        done += patches[report.source]
        # Patches of an earlier run say nothing about the speed of this one.
        passed += report.skipped
        last = len(reports) == len(order)
        if line.due(last):
            speed = max(done - passed, 0) / max(time.time() - start, 1e-9)
            eta = f'{(total - done) / speed:.0f} s' if speed else 'unknown'
            line.write(
                f'{len(reports)}/{len(order)} images, {done}/{total} patches, '
                f'{bad} bad, {speed:.1f}/s, ETA {eta}',
                last,
            )
    return sorted(reports, key=lambda report: report.source.name)


def unexpected(splitter: PatchSplitter, sources: Sequence[SourceImage]) -> list[str]:
    """Name files of the destination that belong to no patch of any image."""
    names = [name for source in sources for name in splitter.names(source)]
    allowed = {splitter.image_path(name) for name in names}
    allowed |= {splitter.ann_path(name) for name in names}
    return [
        f'{path}: belongs to no patch of the images, expected no such file'
        for folder in (IMAGES, ANNOTATIONS)
        for path in sorted((splitter.dst / folder).glob('*'))
        if path not in allowed
    ]


def show(reports: Sequence[SplitReport], problems: Sequence[str]) -> None:
    """Print what came out."""

    def total(name: str) -> int:
        return sum(getattr(report, name) for report in reports)

    print(
        f'{len(reports)} images, {total("patches")} patches ({total("empty")} without '
        f'objects, {total("written")} written now)'
    )
    print(
        f'{total("objects")} objects, {total("copies")} in patches '
        f'({total("truncated")} flagged as cut), {total("lost")} in no patch'
    )
    for problem in problems:
        print(f'  BAD {problem}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    args = parse_args(argv)
    sources, settings = sources_of(args), settings_of(args)
    if args.verify:
        check_record(settings, args.dst)
    elif not args.dry_run:
        record_settings(settings, args.dst)
    splitter = PatchSplitter(settings, args.dst)
    function = splitter.split
    if args.dry_run or args.verify:
        function = splitter.count if args.dry_run else splitter.verify
    patches = {source: splitter.num_patches(source) for source in sources}
    try:
        reports = work(function, patches, args.jobs)
    except BrokenProcessPool:
        raise SystemExit(
            'a process was killed, for lack of memory most often; start again with '
            f'--jobs below {args.jobs} to go on'
        ) from None
    except OSError as error:
        raise SystemExit(f'{error}; start again to go on') from error
    problems = [problem for report in reports for problem in report.problems]
    if args.verify and all(patches.values()):
        problems += unexpected(splitter, sources)
    elif not args.dry_run:
        for folder in ('', IMAGES, ANNOTATIONS):
            remove_leftovers(args.dst / folder)
    show(reports, problems)
    return 1 if problems else 0


if __name__ == '__main__':
    start_command(main)
