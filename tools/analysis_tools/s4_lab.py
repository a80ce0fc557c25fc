"""Train a grid of methods and seeds, and print what each gains over the baseline.

Example::

    python tools/analysis_tools/s4_lab.py configs/lab/harbours_5.py --data DATA
    python tools/analysis_tools/s4_lab.py configs/lab/harbours_5.py --data DATA \
        --arms recipe no_burn_in --seeds 0 1

Every run is tools/train.py in a process of its own with one thread; the arms of a seed
run next to each other.  The same command skips what is finished, resumes what was cut
off and repeats what failed; a run that was made with other settings is named and not
touched.  Ctrl-C lets the trainings save their state.  The figures of all runs are in
results.json of the work directory, which paired_gain.py reads.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.curation.work_dir import WorkDir
from s5_mm.io.processes import command_environment
from s5_mm.io.progress import StatusLine, duration
from s5_mm.lab import (
    RESULTS,
    Grid,
    Job,
    LabRun,
    Results,
    RunFigures,
    check_alike,
    compare,
    gain_table,
    missing_input,
    notes,
    read_grid,
    read_results,
    run_jobs,
    run_table,
)

ROOT = Path(__file__).resolve().parents[2]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument(
        'grid', type=Path, help='file such as configs/lab/harbours_5.py'
    )
    parser.add_argument('--data', required=True, help='folder of the data sets')
    parser.add_argument(
        '--work-dir', type=Path, help='by default work_dirs/lab/<name of the grid>'
    )
    parser.add_argument(
        '--arms', nargs='+', default=[], help='some of the arms, and the baseline'
    )
    parser.add_argument(
        '--seeds', nargs='+', type=int, default=[], help="in place of the grid's"
    )
    parser.add_argument(
        '--jobs', type=int, default=2, help='runs at a time (%(default)s)'
    )
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error(f'--jobs {args.jobs}, expected at least 1')
    if not Path(args.data).is_dir():
        parser.error(f'--data {args.data}: there is no such folder')
    return args


class Lab:
    """The runs of a grid, and what is shown of them.

    Args:
        grid: Arms and seeds.
        part: Those of them that are trained now.
        data: Folder of the data.
        folder: Work directory.

    Raises:
        ValueError: If a config cannot be built, runs differ in test set or length, or
            runs in the folder were made with other settings.
        FileNotFoundError: If what every run needs is not there.
    """

    def __init__(self, grid: Grid, part: Grid, data: Path, folder: Path) -> None:
        self.grid, self.folder = grid, folder
        root = str(data.resolve())
        self.runs = [
            LabRun(arm, seed, grid.config(arm, seed, root), folder, root)
            for arm, seed in part.runs()
        ]
        if changes := [change for run in self.runs if (change := run.change())]:
            raise ValueError(
                '; '.join(changes)
                + '; remove these folders, or choose another --work-dir'
            )
        self._todo = [run for run in self.runs if not run.finished]
        # One arm that cannot start is a failed run and stops no other.
        missing = ['' if run.finished else missing_input(run.cfg) for run in self.runs]
        if all(missing):
            raise FileNotFoundError(
                f'{grid.path}: none of {len(missing)} runs has what it needs; '
                f'{missing[0]}'
            )
        self._figures = self._earlier_figures()
        self._figures |= {(run.arm, run.seed): run.figures() for run in self.runs}
        found = self.results()
        check_alike(found.arms, found.against)  # not after hours of training
        self._done, self._start = 0.0, time.monotonic()
        self._earlier = sum(run.progress() for run in self._todo)
        self._line = StatusLine()

    def train(self, slots: int) -> None:
        """Train what is not finished.

        Args:
            slots: Runs at a time.

        Raises:
            KeyboardInterrupt: At Ctrl-C, after the trainings have saved their state.
        """
        finished = len(self.runs) - len(self._todo)
        print(
            f'{self.grid.path}: {len(self.runs)} runs, {finished} finished before',
            flush=True,
        )
        environment = command_environment(ROOT)
        environment |= dict.fromkeys(('OMP_NUM_THREADS', 'MKL_NUM_THREADS'), '1')
        try:
            run_jobs(self._jobs(), slots, environment, self._ended, self._show)
        finally:
            self.results().write(self.folder)

    def _jobs(self) -> Iterator[Job]:
        """Prepare one run after the other, when there is a slot for it."""
        for run in self._todo:
            command = [sys.executable, str(ROOT / 'tools/train.py'), *run.prepare()]
            yield Job(run, command, run.log)

    def _ended(self, run: LabRun, status: int | None, seconds: float) -> None:
        """Write down and show how a run has ended."""
        run.end(status, seconds)
        self._done += 1
        figures = self._figures[run.arm, run.seed] = run.figures()
        text = figures.error or f'mIoU {figures.last("mIoU"):.2f}'
        mark = '' if status == 0 else 'FAILED ' if status else 'stopped '
        self._line.clear()
        print(f'{mark}{run.arm}, seed {run.seed}: {text}, {duration(seconds)}')
        sys.stdout.flush()
        self.results().write(self.folder)

    def _show(self, working: Sequence[LabRun]) -> None:
        """Show how much is done and how long the rest takes."""
        if not working or not self._line.due():
            return
        shares = [run.progress() for run in working]
        done, total = self._done + sum(shares), len(self._todo)
        text = f'{self._done:.0f} of {total} runs'
        for run, share in zip(working, shares, strict=True):
            text += f', {run.arm} seed {run.seed} {100 * share:.0f} %'
        spent = time.monotonic() - self._start
        if done > self._earlier:
            left = (total - done) * spent / (done - self._earlier)
            text += f', ETA {duration(left)}'
        self._line.write(text)

    def _earlier_figures(self) -> dict[tuple[str, int], RunFigures]:
        """Figures of runs in the folder that are no part of this call."""
        if not (self.folder / RESULTS).is_file():
            return {}
        return {
            (run.arm, run.seed): run
            for group in read_results(self.folder).arms.values()
            for run in group
            if (self.folder / run.path).is_dir()
        }

    def results(self) -> Results:
        """Return the figures of all runs in the folder."""
        arms = {
            name: [
                run for (arm, _), run in sorted(self._figures.items()) if arm == name
            ]
            for name in self.grid.arms
        }
        arms = {name: runs for name, runs in arms.items() if runs}
        against = {
            name: other
            for name, other in self.grid.against.items()
            if name in arms and other in arms
        }
        return Results(self.grid.path.stem, against, arms)


def _stop(number: int, frame: object) -> None:
    """Treat a request to end like Ctrl-C."""
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run the grid."""
    args = parse_args(argv)
    grid = read_grid(args.grid)
    part = grid.restrict(args.arms, args.seeds)
    folder = args.work_dir or Path('work_dirs/lab', grid.path.stem)
    signal.signal(signal.SIGTERM, _stop)
    with WorkDir(folder).lock():
        lab = Lab(grid, part, Path(args.data), folder.resolve())
        try:
            lab.train(args.jobs)
        except KeyboardInterrupt:
            raise KeyboardInterrupt('the same command goes on from here') from None
        results = lab.results()
    failed = [run for run in lab.runs if not run.finished]
    print(f'\n{run_table(results.arms, "mIoU")}\n')
    if len(failed) < len(lab.runs):
        found = compare(results.arms, results.against)
        print('\n'.join([gain_table(found, 'mIoU'), '', *notes(found)]))
    print(f'written to {folder / RESULTS}')
    if failed:
        print(f'{len(failed)} of {len(lab.runs)} runs failed', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    start_command(main)
