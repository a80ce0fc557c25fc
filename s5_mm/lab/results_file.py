"""The file in which a lab keeps the figures of all its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s5_mm.io.atomic import write_json

from .run_figures import RunFigures

RESULTS = 'results.json'
_KEYS = {'grid', 'against', 'runs'}


@dataclass(frozen=True)
class Results:
    """Runs of a grid.

    Attributes:
        grid: Name of the grid.
        against: Baseline by name of the arm; the baselines themselves are no keys.
        arms: Runs by name of the arm.
    """

    grid: str
    against: Mapping[str, str]
    arms: Mapping[str, Sequence[RunFigures]]

    def write(self, folder: str | Path) -> Path:
        """Write the file whole.

        Args:
            folder: Folder of the lab.

        Returns:
            Its path.
        """
        path = Path(folder) / RESULTS
        runs = [run.to_dict() for group in self.arms.values() for run in group]
        write_json(path, dict(grid=self.grid, against=dict(self.against), runs=runs))
        return path


def read_results(path: str | Path) -> Results:
    """Read the results of a lab.

    Args:
        path: Its folder or its ``results.json``.

    Returns:
        The results.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none.
    """
    path = Path(path)
    file = path / RESULTS if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f'{file}: no such file; expected the work directory of s4_lab.py or the '
            f'{RESULTS} in it (--runs takes work directories of single runs)'
        )
    try:
        record = json.loads(file.read_text(encoding='utf-8'))
        if missing := sorted(_KEYS - record.keys()):
            raise KeyError(f'no {", ".join(missing)}')
        arms: dict[str, list[RunFigures]] = {}
        for one in record['runs']:
            run = RunFigures.from_dict(one)
            arms.setdefault(run.arm, []).append(run)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{file}: {type(error).__name__}: {error}; expected is the {RESULTS} that '
            's4_lab.py writes'
        ) from error
    return Results(record['grid'], record['against'], arms)
