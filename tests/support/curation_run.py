"""Synthetic results of a curation run: the files that its report is made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from s5_mm.io.crop_tables.parquet import write_table
from s5_mm.io.crop_tables.run_names import (
    MANIFEST_FILE,
    QUOTAS_FILE,
    RUN_FILE,
    STAGES_FILE,
)
from s5_mm.testing.scenes import METAINFO, draw_scene

CLASSES = METAINFO['classes']
REASONS = ('constant_colour', 'blurred', 'stripes')
_DROPPED = ('near_duplicate', 'leak')


def draw_manifest(
    rng: np.random.Generator,
    paths: Sequence[tuple[str, str]],
    windows: np.ndarray,
    num_clusters: int,
    num_classes: int = len(CLASSES),
) -> pa.Table:
    """Draw the rows of a manifest.

    A tenth of the crops is rejected.  Of the others those are selected whose entropy is
    below 0.3 + 0.4 m / M nats in cluster m; one of fifty of them is dropped.

    Args:
        rng: Decides everything.
        paths: Collection and path of every source.
        windows: int, (n, 5): number of the source, x, y, width, height.
        num_clusters: M.
        num_classes: K.

    Returns:
        n rows.
    """
    count = len(windows)
    collections = sorted({collection for collection, _ in paths})
    names = pa.array([path for _, path in paths])
    of_source = np.array([collections.index(name) for name, _ in paths], np.int32)
    cluster = (rng.beta(1.2, 2, count) * num_clusters).astype(np.int16)
    entropy = rng.gamma(2.5, 0.12 + 0.15 * cluster / num_clusters).astype(np.float32)
    entropy = np.minimum(entropy, np.float32(np.log(num_classes)))
    bad = rng.random(count) < 0.1
    chosen = ~bad & (entropy <= cut_of(cluster, num_clusters))
    dropped = chosen & (rng.random(count) < 0.02)
    decision = np.select([bad, dropped, chosen], [0, 1, 2], 3)
    reason = np.where(dropped, 1 + rng.integers(0, len(_DROPPED), count), 0)
    gate = np.where(bad, 1 + rng.integers(0, len(REASONS), count), 0)
    areas = rng.gamma(np.linspace(0.2, 2, num_classes), 1, (count, num_classes)) + 1e-9
    areas = (areas / areas.sum(axis=1, keepdims=True)).astype(np.float32)

    def figure(values: np.ndarray) -> pa.Array:
        return pa.array(values.astype(values.dtype), mask=bad)

    def texts(codes: np.ndarray, values: Sequence[str]) -> pa.Array:
        codes = pa.array(codes.astype(np.int32))
        return pa.DictionaryArray.from_arrays(codes, pa.array(values))

    lists = pa.FixedSizeListArray.from_arrays(
        pa.array(areas.ravel()), num_classes, mask=pa.array(bad)
    )
    unit = rng.random((count, 4), np.float32)
    return pa.table(
        {
            'crop_id': rng.integers(0, 2**64, count, np.uint64, endpoint=False),
            'collection': texts(of_source[windows[:, 0]], collections),
            'path': names.take(pa.array(windows[:, 0])),
            **{
                name: windows[:, i + 1].astype(np.int32)
                for i, name in enumerate(('x', 'y', 'width', 'height'))
            },
            'rejected': texts(gate, ('', *REASONS)).cast(pa.string()),
            'entropy': figure(entropy),
            'cluster': figure(cluster),
            'similarity': figure(0.4 + unit[:, 0] * np.float32(0.6)),
            'margin': figure(unit[:, 1] * np.float32(0.1)),
            'foreground': figure(unit[:, 2]),
            'confidence': figure(np.float32(0.5) + unit[:, 3] * np.float32(0.5)),
            'class_areas': lists,
            'decision': texts(
                decision, ('rejected', 'dropped', 'selected', 'unselected')
            ).cast(pa.string()),
            'reason': texts(reason, ('', *_DROPPED)).cast(pa.string()),
        }
    )


def cut_of(cluster: np.ndarray, num_clusters: int) -> np.ndarray:
    """Give the largest entropy that is selected in a cluster, in nats, float32."""
    return (0.3 + 0.4 * np.asarray(cluster, np.float64) / num_clusters).astype(
        np.float32
    )


def write_quotas(path: Path, scored: np.ndarray, filled: np.ndarray) -> None:
    """Write quotas that fit numbers of crops.

    Args:
        path: The file.
        scored: int64, (M,), crops that could be taken.
        filled: int64, (M,), crops that were taken.
    """
    num_clusters = len(scored)
    cuts = cut_of(np.arange(num_clusters), num_clusters)
    wanted = np.rint(filled * (1 + 0.3 * np.sin(np.arange(num_clusters)))).astype(int)
    quotas = [
        {
            'cluster': m,
            'wanted': int(wanted[m]),
            'available': int(scored[m]),
            'filled': int(filled[m]),
            'redistributed': int(filled[m] - wanted[m]),
            'cut': float(cuts[m]) if filled[m] else None,
        }
        for m in range(num_clusters)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(quotas))


def write_curation_run(
    folder: Path, names: Sequence[str], num_clusters: int = 4, seed: int = 0
) -> pa.Table:
    """Write a small work directory with images of synthetic scenes.

    Args:
        folder: The work directory; the images lie in ``images/`` below it.
        names: File names of the images, each of 4 x 4 crops of 64 px; the first half
            is the collection ``east``, the other ``west``.
        num_clusters: M.
        seed: Decides everything.

    Returns:
        The manifest.
    """
    rng = np.random.default_rng(seed)
    roots = {name: folder / 'images' / name for name in ('east', 'west')}
    paths = []
    for number, name in enumerate(names):
        collection = 'east' if number < -(-len(names) // 2) else 'west'
        scene = draw_scene(seed, number, size=256)
        encoded = cv2.imencode('.png', scene.image[..., ::-1])[1]
        file = roots[collection] / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded.tobytes())
        paths.append((collection, name))
    grid = np.stack(np.mgrid[: len(names), :4, :4], axis=-1).reshape(-1, 3)
    windows = np.stack([grid[:, 0], grid[:, 2] * 64, grid[:, 1] * 64], axis=1)
    windows = np.concatenate([windows, np.full((len(windows), 2), 64)], axis=1)
    table = draw_manifest(rng, paths, windows, num_clusters)
    write_table(folder / MANIFEST_FILE, table)
    scored, filled = np.zeros((2, num_clusters), np.int64)
    for cluster, decision in zip(
        table['cluster'].to_pylist(), table['decision'].to_pylist(), strict=True
    ):
        if cluster is not None:
            scored[cluster] += 1
            filled[cluster] += decision in ('selected', 'dropped')
    write_quotas(folder / 'check' / QUOTAS_FILE, scored, filled)
    _write_check(folder, table, names)
    (folder / 'cluster').mkdir()
    counts = np.arange(num_clusters) + 10
    np.savez(folder / 'cluster/prototypes.npz', prototypes=np.eye(4), counts=counts)
    stages = [
        {'stage': 'plan', 'seconds': 0.5, 'items': len(names), 'workers': 1},
        {'stage': 'score', 'seconds': 130.0, 'items': int(scored.sum()), 'workers': 2},
    ]
    (folder / STAGES_FILE).write_text(json.dumps(stages))
    run = {
        'version': '0.1.0',
        'commit': 'c0ffee',
        'config': 'collections = {}\n',
        'hashes': {'config': 'a' * 64, 'checkpoint': 'b' * 64},
        'classes': list(CLASSES),
        'collections': {name: str(root) for name, root in roots.items()},
        'benchmarks': {'bench': str(roots['east'])},
        'crop_size': 64,
    }
    (folder / RUN_FILE).write_text(json.dumps(run))
    return table


def _write_check(folder: Path, table: pa.Table, names: Sequence[str]) -> None:
    """Write matches and near-duplicates of the first crops."""
    ids = table['crop_id'].to_pylist()
    matches = {
        'crop_id': pa.array([ids[0], ids[0], ids[1], ids[-1]], pa.uint64()),
        'benchmark': ['bench', 'bench', 'bench', 'other'],
        'split': ['val', 'test', 'val', 'val'],
        'eval_image': [names[0], names[0], names[0], 'gone.png'],
        'layer': ['name', 'hash', 'hash', 'hash'],
        'distance': pa.array([0, 12, 3, 20], pa.float32()),
        'verdict': ['flag', 'flag', 'flag', 'keep'],
    }
    write_table(folder / 'check/matches.parquet', pa.table(matches))
    duplicates = {
        'crop_id': pa.array(ids[2:7], pa.uint64()),
        'group': pa.array([5, 5, 5, 9, 9], pa.int64()),
        'kept': [False, True, False, True, False],
    }
    write_table(folder / 'check/duplicates.parquet', pa.table(duplicates))
