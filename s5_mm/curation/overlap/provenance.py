"""First layer of the leakage check: what the names of images say about their origin.

A rule says which images of a benchmark the images of a collection were made from.  It
is data of a config; the lists of the benchmarks' splits decide what is a leak.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from s5_mm.utils.argument_checks import check_choice

ON = ('stem', 'path')


class Origin(NamedTuple):
    """An image of a benchmark that another image was made from.

    Attributes:
        benchmark: Name of the benchmark.
        split: Name of its split.
        image: Identifier of the image, or its path.
    """

    benchmark: str
    split: str
    image: str


@dataclass(frozen=True)
class Rule:
    r"""Names that tell an origin.

    Attributes:
        collection: Name of a collection, or a shell pattern (``*``, ``?``) of names.
        pattern: Regular expression that fits the whole name.
        image: Template of the benchmark's identifier, with groups of ``pattern``:
            ``\g<id>``, ``\1``.
        benchmarks: Names of the benchmarks that have the image.
        on: ``'stem'``, the file name without folders and ending, or ``'path'``,
            relative to the collection's root.

    Raises:
        ValueError: If a value is not one of the allowed ones; names the rule.
    """

    collection: str
    pattern: str
    benchmarks: Sequence[str]
    image: str = r'\g<0>'
    on: str = 'stem'
    _fits: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        where = f'provenance rule for {self.collection!r}'
        check_choice(f'{where}: on', self.on, ON)
        if isinstance(self.benchmarks, str) or not self.benchmarks:
            raise ValueError(
                f'{where}: benchmarks={self.benchmarks!r}, expected a list of names'
            )
        try:
            fits = re.compile(self.pattern)
        except re.error as error:
            raise ValueError(
                f'{where}: pattern={self.pattern!r} is no regular expression ({error})'
            ) from error
        try:
            # A pattern that fits everything tells whether the groups exist.
            re.compile(f'(?:{self.pattern})|').sub(self.image, '')
        except (re.error, IndexError) as error:
            raise ValueError(
                f'{where}: image={self.image!r} does not go with pattern='
                f'{self.pattern!r} ({error})'
            ) from error
        object.__setattr__(self, '_fits', fits)

    def image_of(self, collection: str, path: str) -> str | None:
        """Give the identifier of the origin of an image, None if the rule says none."""
        if not fnmatchcase(collection, self.collection):
            return None
        name = PurePosixPath(path).stem if self.on == 'stem' else path
        match = self._fits.fullmatch(name)
        return None if match is None else match.expand(self.image)


class Provenance:
    """Rules, and the images that must not be trained on.

    Args:
        rules: Arguments of :class:`Rule`, one dict a rule.
        splits: Benchmark -> split -> names of its images without folders and endings.
            Only splits that are given are protected.  Where a rule fits the benchmark
            itself, it tells the identifiers, so its images may be patches.

    Raises:
        ValueError: If a rule has an unknown or a missing key, or as :class:`Rule`.
    """

    def __init__(
        self,
        rules: Iterable[Mapping[str, Any]],
        splits: Mapping[str, Mapping[str, Iterable[str]]],
    ) -> None:
        self.rules = [_read_rule(number, rule) for number, rule in enumerate(rules)]
        self._splits: dict[tuple[str, str], list[str]] = {}
        for benchmark in sorted(splits):
            for split in sorted(splits[benchmark]):
                for name in splits[benchmark][split]:
                    image = self.own_identifier(benchmark, name)
                    known = self._splits.setdefault((benchmark, image), [])
                    if split not in known:
                        known.append(split)

    def origins(self, collection: str, path: str) -> list[Origin]:
        """List the protected images that an image was made from.

        Args:
            collection: Name of its collection.
            path: Its path, relative to the collection's root.

        Returns:
            The origins, sorted, each once; empty if no rule names a protected image.
        """
        found = set()
        for rule in self.rules:
            image = rule.image_of(collection, path)
            if image is None:
                continue
            for benchmark in rule.benchmarks:
                for split in self._splits.get((benchmark, image), ()):
                    found.add(Origin(benchmark, split, image))
        return sorted(found)

    def own_identifier(self, benchmark: str, name: str) -> str:
        """Return the identifier of an image of a benchmark by its own name.

        Args:
            benchmark: Name of the benchmark.
            name: File name of the image, without folders and ending.

        Returns:
            What a rule for the benchmark makes of the name, or else the name.
        """
        for rule in self.rules:
            if benchmark in rule.benchmarks:
                image = rule.image_of(benchmark, name)
                if image is not None:
                    return image
        return name


def _read_rule(number: int, given: Mapping[str, Any]) -> Rule:
    """Build a rule and refuse keys it does not have."""
    allowed = [f.name for f in fields(Rule) if f.init]
    unknown = sorted(set(given) - set(allowed))
    missing = [
        name for name in ('collection', 'pattern', 'benchmarks') if name not in given
    ]
    if unknown or missing:
        what = f'unknown keys {unknown}' if unknown else f'no {missing}'
        raise ValueError(f'provenance[{number}]: {what}; allowed are {allowed}')
    return Rule(**given)
