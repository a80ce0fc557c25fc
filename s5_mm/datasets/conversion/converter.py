"""What a converter of one data set has to say; the rest is common to all."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from mmengine.config import Config

from .archive import LayoutError, SourceTree
from .jobs import ConversionJob
from .split_verification import shorten

_SHOWN = 6


class Plan(NamedTuple):
    """What is to be done.

    Attributes:
        jobs: The work; the jobs make different files.
        missing: What the source lacks, a line each.
        lists: Small files that are written when all else is there: path relative to
            the destination -> text.
        scenes: Split -> number of images of the source, to be compared with the table
            of counts.
    """

    jobs: list[ConversionJob]
    missing: list[str]
    lists: Mapping[str, str] = {}
    scenes: Mapping[str, int] = {}


class Converter(ABC):
    """One data set, from the archives of its owners to the layout that configs read.

    Attributes:
        name: Its key in the table of counts, in the record of a destination and in
            messages.
        layout: How the source should look, shown when it does not.
        options: Further arguments of the command, flag -> keywords of
            ``ArgumentParser.add_argument``.  Their values decide the files, so files
            of other values are not mixed in one destination.
    """

    name: str
    layout: str
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @abstractmethod
    def plan(self, tree: SourceTree, args: argparse.Namespace) -> Plan:
        """Work out what is to be done.

        Args:
            tree: The source.
            args: The command line; ``dst`` is the destination, ``partial`` says that
                the source is a part of the data set.

        Returns:
            The work.

        Raises:
            LayoutError: If the source is not what it should be.
        """

    @abstractmethod
    def splits(self, args: argparse.Namespace) -> dict[str, dict]:
        """Give the data sets that read the destination.

        Args:
            args: The command line.

        Returns:
            Split as in the table of counts -> config; those whose folder
            :meth:`folder` names has no files are left out.
        """

    def counts(self, args: argparse.Namespace) -> str:
        """Give the entry in the table of counts.

        Args:
            args: The command line.

        Returns:
            Its key; another one where an option changes the numbers.
        """
        return self.name

    def folder(self, split: str, args: argparse.Namespace) -> str:
        """Give the folder, or the list, without which a split does not exist.

        Args:
            split: Its name.
            args: The command line.

        Returns:
            Path relative to the destination.
        """
        return f'img_dir/{split}'

    def refuse(self, tree: SourceTree, missing: Sequence[str]) -> LayoutError:
        """Make the error of a source of which nothing can be made.

        Args:
            tree: The source.
            missing: What it lacks, a line each.

        Returns:
            The error; it says what was found and what was expected.
        """
        lines = '\n    '.join(missing[:_SHOWN])
        return LayoutError(
            f'{tree.root}: nothing of {self.name} can be made of this; found:\n'
            f'    {tree.summary()}\n  expected:\n    '
            + self.layout.strip().replace('\n', '\n    ')
            + (f'\n  missing\n    {lines}' if lines else '')
        )


def dataset_config(
    file: Path, key: str, split: str | None, dst: Path, **changes: Any
) -> dict[str, Any]:
    """Take a data set from a config of this repository.

    What a conversion made is thus checked by the very rules of a run.

    Args:
        file: A config with ``key = dict(train=dict(type=...), val=...)``, or with
            ``key = dict(type=...)``.
        key: The variable.
        split: The entry in it; None takes all of it.
        dst: Replaces ``data_root``.
        **changes: Replace other entries.

    Returns:
        The config of the data set.
    """
    config = Config.fromfile(str(file))[key]
    config = config if split is None else config[split]
    return {**config.to_dict(), 'data_root': str(dst), **changes}


def lacking(what: str, wanted: Iterable[str], found: Collection[str]) -> list[str]:
    """Say what a source lacks.

    Args:
        what: What the names are of, such as the archive.
        wanted: Names that are known, in the order in which they are shown.
        found: Names that are there.

    Returns:
        One line, or none if all are there.
    """
    known = list(wanted)
    lost = [name for name in known if name not in found]
    if not lost:
        return []
    return [
        f'{what}: {len(lost):,} of {len(known):,} are not in the source: '
        f'{shorten(lost)}'
    ]
