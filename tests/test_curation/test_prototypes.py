"""Spherical K-Means: the same each time, and as good as an independent one."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from s5_mm.curation.scoring.prototypes import (
    Prototypes,
    PrototypesError,
    fit_prototypes,
    similarities,
)
from s5_mm.curation.scoring.prototypes_file import load_prototypes, save_prototypes

CHECKPOINT = 'c' * 64


@pytest.fixture(scope='module')
def labelled():
    """900 features around 12 directions of very different weight, and their keys."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((12, 32))
    share = random.dirichlet(np.full(12, 2.0))
    group = random.choice(12, 900, p=share)
    features = centres[group] + 0.9 * random.standard_normal((900, 32))
    features *= random.uniform(0.1, 10, (900, 1))
    keys = random.permutation(900).astype(np.uint64) << np.uint64(40)
    return features.astype(np.float32), keys


def lloyd(rows, start, iters):
    """Spherical K-Means as it is written, in fp64."""
    centres = start.astype(np.float64)
    for _ in range(iters):
        nearest = (rows @ centres.T).argmax(1)
        for m in range(len(centres)):
            if (nearest == m).any():
                centres[m] = rows[nearest == m].sum(0)
                centres[m] /= np.linalg.norm(centres[m])
    cosine = rows @ centres.T
    return centres, cosine.max(1).sum()


def unit(features):
    return features / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)


def test_is_the_fixed_point_and_as_good_as_another(labelled) -> None:
    features, keys = labelled
    found, assignment = fit_prototypes(features, keys, 12, CHECKPOINT, num_iters=50)
    rows = unit(features)
    cosine = rows @ found.prototypes.astype(np.float64).T
    assert (assignment == cosine.argmax(1)).all()
    assert (found.counts == np.bincount(assignment, minlength=12)).all()
    assert found.counts.sum() == 900
    assert found.counts.min() > 0
    again, objective = lloyd(rows, found.prototypes, 1)
    assert np.abs(again - found.prototypes).max() < 1e-6
    random = np.random.default_rng(1)
    others = [
        lloyd(rows, rows[random.choice(900, 12, False)], 30)[1] for _ in range(10)
    ]
    assert objective > 0.998 * max(others)
    assert objective > np.median(others)
    assert found.prototypes.dtype == np.float32
    assert np.abs(np.linalg.norm(found.prototypes, axis=1) - 1).max() < 1e-6


def test_all_rows_are_used_where_faiss_would_sample(labelled) -> None:
    features, keys = labelled
    found, _ = fit_prototypes(features, keys, 2, CHECKPOINT, num_iters=40)
    again, _ = lloyd(unit(features), found.prototypes, 1)
    assert np.abs(again - found.prototypes).max() < 1e-6  # 2 x 256 < 900


def test_order_and_threads_change_nothing(labelled) -> None:
    features, keys = labelled
    arguments = dict(num_restarts=3, seed=5)
    first, assignment = fit_prototypes(features, keys, 12, CHECKPOINT, **arguments)
    order = np.random.default_rng(2).permutation(900)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        second, other = fit_prototypes(
            features[order], keys[order], 12, CHECKPOINT, **arguments
        )
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert first.prototypes.tobytes() == second.prototypes.tobytes()
    assert first.labelled == second.labelled
    assert (assignment[order] == other).all()
    third, _ = fit_prototypes(features, keys, 12, CHECKPOINT, num_restarts=3, seed=6)
    assert third.prototypes.tobytes() != first.prototypes.tobytes()
    changed, _ = fit_prototypes(
        features, keys + np.uint64(1), 12, CHECKPOINT, **arguments
    )
    assert changed.labelled != first.labelled


_CHILD = """
import sys
import numpy as np
from s5_mm.curation.scoring.prototypes import fit_prototypes
f = np.random.default_rng(0).standard_normal((400, 48)).astype(np.float32)
p, _ = fit_prototypes(f, np.arange(400, dtype=np.uint64), 9, 'c' * 64, num_restarts=2)
sys.stdout.write(p.prototypes.tobytes().hex())
"""


def test_a_process_with_more_threads_agrees() -> None:
    threads = dict(OMP_NUM_THREADS='4', OPENBLAS_NUM_THREADS='4')
    done = subprocess.run(
        [sys.executable, '-c', _CHILD],
        env={**os.environ, **threads, 'PYTHONPATH': os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    features = np.random.default_rng(0).standard_normal((400, 48)).astype(np.float32)
    keys = np.arange(400, dtype=np.uint64)
    found, _ = fit_prototypes(features, keys, 9, CHECKPOINT, num_restarts=2)
    assert done.stdout == found.prototypes.tobytes().hex()


def test_assignment_does_not_depend_on_the_slice(labelled) -> None:
    features, keys = labelled
    found, _ = fit_prototypes(features, keys, 12, CHECKPOINT, num_restarts=1)
    rows = torch.from_numpy(unit(features).astype(np.float32))
    prototypes = torch.from_numpy(found.prototypes)
    whole = similarities(rows, prototypes)
    for start, stop in [(0, 1), (7, 20), (63, 65), (100, 900)]:
        part = similarities(rows[start:stop], prototypes)
        for mine, all_ in zip(part, whole, strict=True):
            assert torch.equal(mine, all_[start:stop])
    cosine = np.sort(rows.double() @ prototypes.double().T, 1)
    assert np.abs(whole[1].numpy() - cosine[:, -1]).max() < 1e-6
    assert np.abs(whole[2].numpy() - (cosine[:, -1] - cosine[:, -2])).max() < 1e-6
    # The lower of equals; nothing to compare one prototype with.
    twice = torch.cat([prototypes[:1], prototypes[:1]])
    assert similarities(rows, twice)[0].max() == 0
    assert similarities(rows, twice)[2].max() == 0
    assert similarities(rows, prototypes[:1])[2].unique().tolist() == [2]
    assert [len(x) for x in similarities(rows[:0], prototypes)] == [0, 0, 0]


def _broken(labelled, **changes):
    features, keys = (array.copy() for array in labelled)
    arguments = dict(features=features, keys=keys, num_clusters=12, num_restarts=1)
    for name, change in changes.items():
        arguments[name] = change(arguments[name])
    return arguments


def _put(array, index, value):
    array[index] = value
    return array


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(num_clusters=lambda _: 901), 'num_clusters=901 with 900 labelled crops'),
        (dict(num_clusters=lambda _: 0), 'num_clusters=0 .* allowed are 1 to as many'),
        (
            dict(features=lambda f: _put(f, (3, 4), np.nan)),
            '1 of 900 features are not f',
        ),
        (dict(features=lambda f: _put(f, 3, 0)), 'length 0, the first is that of crop'),
        (dict(keys=lambda k: _put(k, 3, k[4])), 'given twice'),
        (dict(keys=lambda k: k[1:]), r'features \(900, 32\) and keys \(899,\)'),
        (
            dict(features=lambda f: _put(f, slice(7, None), f[7])),
            'num_clusters=12 with 8 different features among 900',
        ),
    ],
)
def test_refused_features(labelled, changes, message) -> None:
    with pytest.raises(PrototypesError, match=message):
        fit_prototypes(checkpoint=CHECKPOINT, **_broken(labelled, **changes))


def test_empty_clusters_are_named(labelled, monkeypatch) -> None:
    features, keys = labelled
    twice = np.repeat(unit(features[:1]), 3, 0).astype(np.float32)
    monkeypatch.setattr(
        's5_mm.curation.scoring.prototypes._cluster', lambda *arguments: twice
    )
    with pytest.raises(PrototypesError, match=r'clusters \[1, 2\] of 3 are empty'):
        fit_prototypes(features, keys, 3, CHECKPOINT)


def test_other_dimension_is_refused() -> None:
    with pytest.raises(PrototypesError, match='features of D=3, prototypes of D=4'):
        similarities(torch.zeros(2, 3), torch.zeros(2, 4))


@pytest.fixture
def prototypes():
    rows = np.eye(3, 5, dtype=np.float32)
    return Prototypes(rows, np.array([4, 5, 6]), CHECKPOINT, 'd' * 64, 7)


def test_file(prototypes, tmp_path) -> None:
    path = tmp_path / 'cluster' / 'prototypes.npz'
    save_prototypes(path, prototypes)
    first = path.read_bytes()
    found = load_prototypes(path, CHECKPOINT)
    assert (found.prototypes == prototypes.prototypes).all()
    assert found.counts.tolist() == [4, 5, 6]
    assert found[2:] == (CHECKPOINT, 'd' * 64, 7)
    save_prototypes(path, found)
    assert path.read_bytes() == first
    with pytest.raises(
        PrototypesError, match=f'SHA-256 {CHECKPOINT}, the one .* {"e" * 64}'
    ):
        load_prototypes(path, 'e' * 64)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(prototypes=np.zeros((3, 5))),
            r'prototypes is float64 \(3, 5\), expected',
        ),
        (
            dict(prototypes=np.full((3, 5), np.nan, np.float32)),
            'prototype 0 has length n',
        ),
        (dict(prototypes=np.ones((3, 5), np.float32)), 'prototype 0 has length 2.2'),
        (
            dict(counts=np.array([1, 2])),
            r'counts is int64 \(2,\), expected int64 \(3,\)',
        ),
        (dict(counts=np.array([1, 0, 2])), r'the clusters \[1\] are empty'),
        (
            dict(checkpoint='short'),
            "checkpoint is array.'short'.*expected the 64 digits",
        ),
        (dict(labelled=3), 'labelled is array.3., expected the 64 digits'),
        (dict(seed=0.5), 'seed is array.0.5., expected a whole number'),
    ],
)
def test_refused_files(prototypes, changes, message, tmp_path) -> None:
    path = tmp_path / 'prototypes.npz'
    save_prototypes(path, prototypes._replace(**changes))
    with pytest.raises(PrototypesError, match=f'prototypes.npz: {message}'):
        load_prototypes(path)


def test_files_of_another_kind(prototypes, tmp_path) -> None:
    path = tmp_path / 'prototypes.npz'
    with pytest.raises(PrototypesError, match='there are no prototypes'):
        load_prototypes(path)
    save_prototypes(path, prototypes)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(PrototypesError, match='damaged'):
        load_prototypes(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(PrototypesError, match=r"holds \['other'\], expected"):
        load_prototypes(path)
    np.savez(path, prototypes=np.array([object()]))
    with pytest.raises(PrototypesError, match='damaged, or no .npz'):
        load_prototypes(path)
    np.save(tmp_path / 'alone.npy', np.zeros(3))
    (tmp_path / 'alone.npy').rename(path)
    with pytest.raises(PrototypesError, match='damaged, or no .npz'):
        load_prototypes(path)
