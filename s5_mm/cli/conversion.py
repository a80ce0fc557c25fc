"""The command line that all converters share."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from s5_mm.cli.command import CommandParser
from s5_mm.datasets.conversion.archive import SourceTree
from s5_mm.datasets.conversion.converter import Converter, Plan
from s5_mm.datasets.conversion.expected import NONE, Expected, read_expected
from s5_mm.datasets.conversion.job_runner import (
    files_below,
    run_conversion,
    write_output,
)
from s5_mm.datasets.conversion.record import (
    OUTPUTS,
    RECORD,
    check_settings,
    locked,
    open_destination,
    read_plan,
    write_plan,
)
from s5_mm.datasets.conversion.split_verification import compare_files, verify_split


def run_converter(
    converter: Converter, doc: str | None, file: str, argv: Sequence[str] | None
) -> int:
    """Run a converter from the command line.

    Args:
        converter: The data set.
        doc: Description for ``--help``.
        file: ``__file__`` of the command; ``counts.json`` next to it is the table of
            the numbers of images, see :func:`read_expected`.
        argv: Arguments, those of the process by default.

    Returns:
        Exit status: 0 if all is well, 1 if files are bad or missing.

    Raises:
        LayoutError: If the source or the destination is not what it should be.
        SystemExit: If the machine fails; the same command goes on.
    """
    args = _parse(converter, doc, Path(file).with_name('counts.json'), argv)
    settings = {'converter': converter.name, **args.settings}
    try:
        expected = read_expected(args.counts, converter.counts(args))
        if args.verify:
            check_settings(args.dst, settings)
            return _finish(converter, args, expected, [])
        tree = SourceTree(args.src, args.dst)
        plan = converter.plan(tree, args)
        if not plan.jobs:
            raise converter.refuse(tree, plan.missing)
        plan = _with_scenes(plan, expected)
        if args.dry_run:
            return _show_plan(plan, expected)
        with locked(args.dst):
            open_destination(args.dst, settings)
            problems = _convert(plan, args)
            return _finish(converter, args, expected, problems)
    except BrokenProcessPool:
        raise SystemExit(
            'a process was killed, for lack of memory most often; start again with '
            f'--jobs below {args.jobs} to go on'
        ) from None
    except OSError as error:
        raise SystemExit(f'{error}; start again to go on') from error


def _parse(
    converter: Converter, doc: str | None, counts: Path, argv: Sequence[str] | None
) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(doc, f'{converter.name}.py')
    add = parser.add_argument
    add('src', nargs='?', metavar='SRC', help='folder of the archives, unpacked or not')
    add('dst', type=Path, metavar='DST', help='folder that configs will read')
    add('--jobs', type=int, default=os.cpu_count() or 1, help='processes (all cores)')
    add(
        '--counts',
        default=counts,
        metavar='FILE',
        help=f'table of the numbers of images ({counts.name}); {NONE}: SRC is a part '
        'of the data set, nothing is compared',
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument('--dry-run', action='store_true', help='count, write nothing')
    mode.add_argument(
        '--verify', action='store_true', help='check DST, write nothing; without SRC'
    )
    dests = [add(flag, **keys).dest for flag, keys in converter.options.items()]
    args = parser.parse_args(argv)
    args.settings = {dest: getattr(args, dest) for dest in dests}
    if args.verify and args.src is not None:
        parser.error(f'--verify looks at DST alone, found SRC {args.src} too')
    if not args.verify and args.src is None:
        parser.error('expected SRC and DST, found one folder; --verify needs DST alone')
    args.partial = str(args.counts) == NONE
    return args


def _with_scenes(plan: Plan, expected: Mapping[str, Expected] | None) -> Plan:
    """Add what the numbers of the source's images say to what is missing."""
    known = {split: entry.scenes for split, entry in (expected or {}).items()}
    wrong = [
        f'{split}: {found:,} images of the source, expected {known[split]:,}'
        for split, found in plan.scenes.items()
        if known.get(split) not in (None, found)
    ]
    return plan._replace(missing=[*wrong, *plan.missing])


def _convert(plan: Plan, args: argparse.Namespace) -> list[str]:
    """Make all files; the problems of the source are returned."""
    outputs = {name for job in plan.jobs for name in job.outputs}
    write_plan(args.dst, [*outputs, *plan.lists], plan.missing)
    problems = run_conversion(plan.jobs, args.dst, args.jobs)
    for name, text in plan.lists.items():
        write_output(args.dst / name, text.encode())
    return problems


def _finish(
    converter: Converter,
    args: argparse.Namespace,
    expected: Mapping[str, Expected] | None,
    problems: list[str],
) -> int:
    """Verify a destination and print the report."""
    record = read_plan(args.dst)
    found = set(files_below(args.dst)) - {RECORD, OUTPUTS}
    problems = problems + compare_files(args.dst, record, sorted(found))
    for name, config in converter.splits(args).items():
        folder = converter.folder(name, args)
        if not any(file == folder or file.startswith(f'{folder}/') for file in found):
            if expected is not None:
                images = expected.get(name, Expected()).images
                problems.append(
                    f'{name}: 0 images, expected '
                    f'{"some" if images is None else images}; {folder} has no files'
                )
            continue
        known = expected.get(name) if expected else None
        report = verify_split(name, config, known, args.jobs)
        problems += report.problems
        _say('\n'.join(report.lines()))
    for problem in problems:
        _say(f'  BAD {problem}')
    _say(f'{args.dst}: {len(problems)} problem(s)' if problems else f'{args.dst}: good')
    return 1 if problems else 0


def _show_plan(plan: Plan, expected: Mapping[str, Expected] | None) -> int:
    """Print what would be done."""
    folders = Counter(
        os.path.dirname(name) for job in plan.jobs for name in job.outputs
    )
    _say(f'{len(plan.jobs):,} files of the source would become')
    for folder, count in sorted(folders.items()):
        _say(f'  {folder or ".":<40}{count:>10,} files')
    for name, known in (expected or {}).items():
        if known.images is not None:
            _say(f'known: {name} has {known.images:,} images')
    for line in plan.missing:
        _say(f'  BAD {line}')
    return 1 if plan.missing else 0


def _say(text: str) -> None:
    """Write a line for the user."""
    sys.stdout.write(f'{text}\n')
