"""A grid of runs: arms, each of them trained once per seed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from s5_mm.cli.config import load_config
from s5_mm.cli.reading import read_config
from s5_mm.shipped_configs import config_path

#: Folder of the package's configs.
CONFIGS = Path(config_path('_base_/default_runtime.py')).parents[1]
#: Folder of a lab that is no arm.
TAKEN = 'configs'
_NAME = re.compile(r'\w[\w.-]*')


@dataclass(frozen=True)
class Grid:
    """Arms and seeds.

    Attributes:
        path: The grid's file.
        seeds: Seed of every run of an arm.
        baseline: Arm that the others are compared with.
        arms: By name its ``config``, the ``options`` that it changes, and where it is
            not ``baseline`` the arm ``against`` which it is compared.
    """

    path: Path
    seeds: Sequence[int]
    baseline: str
    arms: Mapping[str, Mapping[str, Any]]

    def config(self, arm: str, seed: int, data: str) -> Config:
        """Build the config of a run.

        Args:
            arm: Name of an arm.
            seed: Seed of the run; ``randomness.seed`` unless the arm sets another one.
            data: Folder of the data, the ``data_root`` unless the arm sets another one.

        Returns:
            The config, with the arm's options in it.

        Raises:
            ValueError: If it cannot be read or has no such setting; names the arm.
        """
        chosen = self.arms[arm]
        options = {'data_root': '{data}', 'randomness.seed': '{seed}'}
        options |= chosen.get('options', {})
        words = {'{seed}': str(seed), '{data}': data, '{configs}': str(CONFIGS)}
        try:
            own = self.path.parent / chosen['config']
            path = str(own) if own.is_file() else config_path(chosen['config'])
            return load_config(path, fill(options, words))
        except (KeyError, OSError, ValueError) as error:
            text = error.args[0] if isinstance(error, KeyError) else error
            raise ValueError(f'{self.path}: arm {arm!r}: {text}') from error

    @property
    def against(self) -> dict[str, str]:
        """Baseline by name of the arm; the baselines themselves are no keys."""
        found = {
            name: arm.get('against', self.baseline) for name, arm in self.arms.items()
        }
        return {name: other for name, other in found.items() if name != other}

    def runs(self) -> Iterator[tuple[str, int]]:
        """Yield arm and seed of every run; the arms of a seed follow each other."""
        for seed in self.seeds:
            for arm in self.arms:
                yield arm, seed

    def restrict(self, arms: Sequence[str], seeds: Sequence[int]) -> Grid:
        """Return a part of the grid.

        Args:
            arms: Names of arms, all of them if empty; their baselines stay.
            seeds: Seeds in place of the grid's own, which stay if it is empty.

        Raises:
            ValueError: If there is no such arm, or a seed is negative or given twice.
        """
        if unknown := sorted(set(arms) - self.arms.keys()):
            raise ValueError(
                f'{self.path}: no arms {unknown}; it has {list(self.arms)}'
            )
        wanted = {self.baseline, *(arms or self.arms)}
        wanted |= {self.against[name] for name in wanted & self.against.keys()}
        kept = {name: arm for name, arm in self.arms.items() if name in wanted}
        _check_seeds(self.path, seeds or self.seeds)
        return Grid(self.path, tuple(seeds or self.seeds), self.baseline, kept)


def read_grid(path: str | Path) -> Grid:
    """Read a grid.

    Args:
        path: A config file with ``seeds``, ``baseline`` and ``arms``: by name a
            ``config``, from the grid's folder or the package's configs, ``options``,
            settings with dotted keys, and ``against``, another baseline (its own name:
            none, it is one).  In the values of options ``{seed}``,
            ``{data}`` and ``{configs}`` stand for the seed, the folder of the data and
            that of the package's configs.

    Returns:
        The grid.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no grid; names the key, and what is allowed.
    """
    cfg = read_config(str(path))
    for key, kind in (('seeds', (list, tuple)), ('baseline', str), ('arms', dict)):
        if not isinstance(cfg.get(key), kind):
            raise ValueError(
                f'{path}: {key}={cfg.get(key)!r}, expected a grid with seeds=[0, 1, '
                "...], baseline='ARM' and arms=dict(ARM=dict(config=..., options=...))"
            )
    _check_seeds(path, cfg.seeds)
    arms = cfg.arms.to_dict()
    for name, arm in arms.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == TAKEN:
            raise ValueError(
                f'{path}: arm {name!r}, expected the name of a folder other than '
                f'{TAKEN!r}, which holds the configs of the runs'
            )
        if (
            not isinstance(arm, dict)
            or not isinstance(arm.get('config'), str)
            or arm.keys() - {'config', 'options', 'against'}
            or not isinstance(arm.get('options', {}), dict)
            or not all(isinstance(key, str) for key in arm.get('options', {}))
        ):
            raise ValueError(
                f'{path}: arm {name!r} is {arm!r}, expected '
                "dict(config='PATH', options={'dotted.key': value}, against='ARM')"
            )
        if arm.get('against', name) not in [*arms]:
            raise ValueError(
                f'{path}: arm {name!r} has against={arm["against"]!r}, expected one of '
                f'the arms {list(arms)}'
            )
    if cfg.baseline not in arms:
        raise ValueError(
            f'{path}: baseline={cfg.baseline!r}, expected one of the arms {list(arms)}'
        )
    return Grid(Path(path), tuple(cfg.seeds), cfg.baseline, arms)


def _check_seeds(path: str | Path, seeds: Sequence[Any]) -> None:
    """Refuse what cannot be the seeds of paired runs."""
    good = all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds)
    if not (seeds and good) or len(set(seeds)) < len(seeds):
        raise ValueError(
            f'{path}: seeds={list(seeds)}, expected different integers from 0 to '
            '2**32 - 1'
        )


def fill(node: Any, words: Mapping[str, str]) -> Any:
    """Replace words in all texts of a tree.

    Args:
        node: Dictionaries, lists and values.
        words: Word -> what it is replaced by.

    Returns:
        The tree; a text that has become a whole number is an int.
    """
    if isinstance(node, dict):
        return {key: fill(child, words) for key, child in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(fill(child, words) for child in node)
    if not isinstance(node, str):
        return node
    filled = node
    for word, value in words.items():
        filled = filled.replace(word, value)
    return int(filled) if filled != node and filled.isdecimal() else filled
