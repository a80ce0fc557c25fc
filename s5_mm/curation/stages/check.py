"""Stage ``check``: drop what leaks or repeats, and fill the freed places.

A round looks at what is chosen and was not looked at before; what it drops may not be
chosen any more, and the selection is repeated, until a round drops nothing.  Every
round is written down, so a run that is killed goes on with the next one.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from s5_mm.io.crop_tables.parquet import Parts, read_table, write_table
from s5_mm.io.crop_tables.run_names import (
    BENCHMARK_CODES_FILE,
    BENCHMARKS_FOLDER,
    DUPLICATES_FILE,
    DUPLICATES_ROUND,
    MATCHES_FILE,
    MATCHES_ROUND,
    SOURCES_FILE,
)

from ..overlap.benchmarks import Benchmarks, hash_benchmarks
from ..overlap.candidates import Candidates, crop_reader, read_candidates
from ..overlap.duplicates import (
    DUPLICATES,
    feature_pairs,
    hash_pairs,
    resolve_duplicates,
)
from ..overlap.eval_crops import EvalCrops
from ..overlap.leakage import match_features, match_hashes, match_names
from ..overlap.matches import MATCHES, Pixels, Policies, dropped_crops
from ..overlap.provenance import Provenance
from ..planning.crop_plan import plan
from ..planning.source_files import SourceFiles
from ..run import CurationRun
from ..scoring.score_parts import read_features
from ..selection.join import join_manifest
from ..stage import Stage
from .select import choose, write_choice


class CheckStage(Stage):
    """Compares what is chosen with the benchmarks and with itself."""

    name = 'check'
    needs = ('select',)

    def settings(self) -> dict[str, Any]:
        """Return the config's section, the benchmarks and the rules of provenance."""
        settings = self.curation.settings
        return {
            **settings['check'],
            'benchmarks': self._benchmarks.settings(),
            'provenance': settings.provenance,
        }

    def make(self) -> dict[str, Any]:
        """Drop and choose anew until nothing is dropped; write the manifest."""
        curation, folder = self.curation, self.folder
        check = _Check(curation, self._benchmarks)
        matches, duplicates = [], []
        excluded, looked_at = (np.zeros(0, np.uint64) for _ in range(2))
        number = 0
        while True:
            selection = choose(curation, excluded)
            kept = np.sort(selection.ids)
            found = check.round(number, kept, np.setdiff1d(kept, looked_at))
            matches.append(found[0])
            duplicates.append(found[1])
            gone = _gone(*found)
            looked_at, number = np.union1d(looked_at, kept), number + 1
            if not len(gone):
                break
            excluded = np.union1d(excluded, gone)
        write_choice(curation, self.name, selection)
        leaks, repeats = pa.concat_tables(matches), _join_groups(duplicates)
        write_table(folder / MATCHES_FILE, leaks)
        write_table(folder / DUPLICATES_FILE, repeats)
        join_manifest(curation.work, _reasons(leaks, repeats))
        return {'items': int(selection.filled.sum()), 'rounds': number}

    @cached_property
    def _benchmarks(self) -> Benchmarks:
        """What must not leak."""
        return Benchmarks(self.curation.settings['check']['benchmarks'])


class _Check:
    """What the rounds compare with.

    Args:
        run: The run.
        benchmarks: What must not leak.
    """

    def __init__(self, run: CurationRun, benchmarks: Benchmarks) -> None:
        self.run, self.benchmarks = run, benchmarks
        self.settings: dict[str, Any] = run.settings['check']
        self.policies = Policies(self.settings['policy'], self.settings['exceptions'])
        self.provenance = Provenance(
            run.settings.provenance, benchmarks.identifiers() if benchmarks else {}
        )
        self.folder, self.size = run.folder('check'), run.settings.grid.size
        self.sources = SourceFiles(run.folder('plan'), run.settings.collections)
        self.reading = dict(
            size=self.size,
            small=run.settings.grid.filling,
            high_byte=run.settings['plan']['high_byte'],
        )

    def round(
        self, number: int, kept: np.ndarray, fresh: np.ndarray
    ) -> tuple[pa.Table, pa.Table]:
        """Look at what is chosen, or read what an earlier run has found.

        Args:
            number: Number of the round.
            kept: Identifiers of what is chosen, uint64, sorted.
            fresh: Those that no round has looked at.

        Returns:
            Matches and duplicates.
        """
        files = [
            self.folder / f.format(number) for f in (MATCHES_ROUND, DUPLICATES_ROUND)
        ]
        if not files[1].exists():
            crops = read_candidates(
                self.run.work,
                kept,
                self.sources,
                self.settings['features'] is not None,
                self.reading,
            )
            new = crops.take(np.flatnonzero(np.isin(crops.pool.crop_id, fresh)))
            write_table(files[0], self._matches(new))
            leaking = dropped_crops(read_table(files[0]))
            clean = np.flatnonzero(~np.isin(crops.pool.crop_id, leaking))
            write_table(files[1], self._duplicates(crops.take(clean), fresh))
        return read_table(files[0]), read_table(files[1])

    def _matches(self, crops: Candidates) -> pa.Table:
        """Compare crops with the benchmarks by all layers."""
        if not self.benchmarks:
            return MATCHES.empty_table()
        pool, settings = crops.pool, self.settings
        tables = [
            match_names(pool, self.provenance, self.policies),
            match_hashes(
                pool,
                self._hashed,
                self.policies,
                settings['radius'],
                settings['min_quality'],
            ),
        ]
        if settings['features'] is not None:
            evals, pixels = self._featured
            tables.append(
                match_features(
                    pool,
                    evals,
                    self.policies,
                    crops.pixels(),
                    pixels,
                    settings['features'],
                )
            )
        return pa.concat_tables(tables)

    @cached_property
    def _hashed(self) -> EvalCrops:
        """Codes of the benchmarks' crops."""
        return hash_benchmarks(
            self.benchmarks,
            self.size,
            self.folder / BENCHMARK_CODES_FILE,
            self.run.jobs,
        )

    @cached_property
    def _featured(self) -> tuple[EvalCrops, Pixels]:
        """Features of the benchmarks' crops, which lie as those of the pool."""
        folder, run = self.folder / BENCHMARKS_FOLDER, self.run
        planned = folder / 'plan'
        if not (planned / SOURCES_FILE).exists():
            plan(
                self.benchmarks.collections,
                run.settings.grid,
                planned,
                **run.settings['plan'],
                jobs=run.jobs,
            )
        run.score_crops(
            folder,
            self.benchmarks.collections,
            dict(
                plan='check/benchmarks/plan',
                gate=None,
                output='check/benchmarks/score',
            ),
            dict(prototypes=None, features=True, gains=self.settings['gains']),
        )
        _, features, _ = read_features(planned, folder / 'score')
        crops = pa.concat_tables([read_table(planned / n) for n in Parts(planned)])
        numbers, image = np.unique(crops['source'].to_numpy(), return_inverse=True)
        sources = SourceFiles(planned, self.benchmarks.collections)
        files = [*sources.find(numbers).values()]
        window = np.stack(
            [crops[key].to_numpy() for key in ('x', 'y', 'width', 'height')], 1
        )
        evals = EvalCrops(
            origins=[self.benchmarks.origin(f.collection, f.name) for f in files],
            image=image,
            window=window.astype(np.int64),
            codes=np.zeros((len(crops), 0, 32), np.uint8),
            quality=np.zeros(len(crops), np.float32),
            features=features,
        )
        paths = [file.path for file in files]
        return evals, crop_reader(paths, image, evals.window, **self.reading)

    def _duplicates(self, crops: Candidates, fresh: np.ndarray) -> pa.Table:
        """Find near-duplicates among crops, of which those not fresh are known."""
        settings, pool = self.settings, crops.pool
        if not settings['duplicates']:
            return DUPLICATES.empty_table()
        pairs = [
            hash_pairs(
                pool.codes, pool.quality, settings['radius'], settings['min_quality']
            )
        ]
        if pool.features is not None:  # as the settings say
            pairs.append(
                feature_pairs(
                    pool.features,
                    crops.pixels(),
                    settings['features'],
                    fresh=np.isin(pool.crop_id, fresh),
                )
            )
        return resolve_duplicates(np.concatenate(pairs), crops.entropy, pool.crop_id)


def _gone(matches: pa.Table, duplicates: pa.Table) -> np.ndarray:
    """Identifiers of what a round drops, sorted."""
    repeats = duplicates.filter(pc.invert(duplicates['kept']))['crop_id'].to_numpy()
    return np.union1d(dropped_crops(matches), repeats)


def _join_groups(rounds: list[pa.Table]) -> pa.Table:
    """Put the groups of duplicates of all rounds together, each with its own number."""
    joined, first = [], 0
    for table in rounds:
        group = table['group'].to_numpy() + first
        joined.append(table.set_column(1, 'group', pa.array(group)))
        first = int(group.max()) + 1 if len(group) else first
    return pa.concat_tables(joined)


def _reasons(matches: pa.Table, duplicates: pa.Table) -> dict[int, str]:
    """Say of every dropped crop why."""
    reasons: dict[int, str] = {}
    stays: dict[int, int] = {}
    for key, group, kept in zip(*duplicates.to_pydict().values(), strict=True):
        if kept:
            stays[group] = key
        else:
            reasons[key] = f'near-duplicate of {stays[group]:016x}'
    columns = ('crop_id', 'benchmark', 'split', 'eval_image', 'layer', 'verdict')
    rows = matches.select(columns).to_pydict().values()
    for key, benchmark, split, image, layer, verdict in zip(*rows, strict=True):
        if verdict == 'drop':
            reasons[key] = f'{benchmark}/{split}: {image} ({layer})'
    return reasons
