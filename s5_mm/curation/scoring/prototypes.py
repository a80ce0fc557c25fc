"""Prototypes of the labelled set: spherical K-Means that comes out the same each time.

faiss iterates.  What it would do otherwise in silence is done here: it subsamples to
256 rows a centroid, draws the first centroids at random, repeats with the same ones if
they are given, normalises centroids but not rows, and keeps a cluster that has become
empty in its last step (1.15, read).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# Rows of one product.  A BLAS chooses its kernel by the shape: always the same one, so
# that a row's figures do not depend on which others are asked for with it.
_TILE = 64


class PrototypesError(ValueError):
    """Features that cannot be clustered, or prototypes that do not belong here."""


class Prototypes(NamedTuple):
    """C_1 to C_M and where they come from.

    Attributes:
        prototypes: float32, (M, D), rows of length 1.
        counts: N_m^l, int64, (M,).
        checkpoint: SHA-256 of the checkpoint whose backbone made the features, hex.
        labelled: SHA-256 of the sorted keys of the labelled crops, hex.
        seed: Of the clustering.
    """

    prototypes: np.ndarray
    counts: np.ndarray
    checkpoint: str
    labelled: str
    seed: int


def fit_prototypes(
    features: np.ndarray,
    keys: np.ndarray,
    num_clusters: int,
    checkpoint: str,
    seed: int = 0,
    num_restarts: int = 10,
    num_iters: int = 25,
) -> tuple[Prototypes, np.ndarray]:
    """Cluster the features of the labelled crops by cosine.

    Every restart begins with a k-means++ of its own; the best objective wins, the
    earlier one of equals.  One thread, rows in the order of their keys: the result is
    the same bytes for any order of rows and any number of processes around.

    Args:
        features: (n, D), any length but 0; brought to unit length here.
        keys: uint64, (n,), unique.
        num_clusters: M.
        checkpoint: SHA-256 of the checkpoint, kept with the result.
        seed: Of the restarts.
        num_restarts: Number of runs.
        num_iters: Iterations of each.

    Returns:
        The prototypes, and the cluster of each row, int64 (n,), in the order given.

    Raises:
        PrototypesError: If there are fewer crops, or fewer different ones, than
            clusters, a feature is not finite or has length 0, a key is there twice, or
            every run leaves a cluster empty.
    """
    keys = np.asarray(keys, np.uint64)
    rows = _unit_rows(features, keys, num_clusters)
    order = np.argsort(keys, kind='stable')
    rows = np.ascontiguousarray(rows[order])
    best: tuple[float, np.ndarray, np.ndarray, np.ndarray] | None = None
    empty: list[int] = []
    for restart in range(num_restarts):
        with _one_thread():
            centroids = _cluster(rows, num_clusters, [seed, restart], num_iters)
            assigned, nearest, _ = similarities(
                torch.from_numpy(rows), torch.from_numpy(centroids)
            )
        counts = np.bincount(assigned.numpy(), minlength=num_clusters)
        if not counts.all():
            empty = np.flatnonzero(counts == 0).tolist()
            continue
        objective = nearest.double().sum().item()
        if best is None or objective > best[0]:
            best = objective, centroids, counts, assigned.numpy()
    if best is None:
        raise PrototypesError(
            f'the clusters {empty} of {num_clusters} are empty after each of '
            f'num_restarts={num_restarts}: {len(rows)} labelled crops do not fall into '
            'as many groups; lower num_clusters'
        )
    labelled = hashlib.sha256(keys[order].astype('<u8').tobytes()).hexdigest()
    assignment = np.empty(len(rows), np.int64)
    assignment[order] = best[3]
    return (
        Prototypes(best[1], best[2].astype(np.int64), checkpoint, labelled, seed),
        assignment,
    )


@torch.no_grad()
def similarities(features: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Assign features to their nearest prototype by cosine.

    Args:
        features: (n, D), rows of length 1, any floating type.
        prototypes: (M, D), rows of length 1, on the same device.

    Returns:
        Cluster, int64 (n,), the lower of equals; cosine to its prototype and margin to
        the second nearest, float32 (n,).  With a single prototype the margin is 2, the
        largest there is.

    Raises:
        PrototypesError: If the lengths D differ.
    """
    if features.shape[1] != prototypes.shape[1]:
        raise PrototypesError(
            f'features of D={features.shape[1]}, prototypes of '
            f'D={prototypes.shape[1]}: they are of another backbone'
        )
    targets = prototypes.double().T.contiguous()
    cosines = []
    for tile in features.split(_TILE):
        full = tile.new_zeros(_TILE, tile.shape[1], dtype=torch.float64)
        full[: len(tile)] = tile
        cosines.append((full @ targets)[: len(tile)].float())
    table = torch.cat(cosines) if cosines else features.new_zeros(0, len(prototypes))
    if len(prototypes) == 1:
        first = table[:, 0]
        return torch.zeros_like(first, dtype=torch.int64), first, first * 0 + 2
    top = table.amax(1)
    numbers = torch.arange(len(prototypes), device=table.device)
    cluster = torch.where(table == top[:, None], numbers, len(prototypes)).amin(1)
    others = table.scatter(1, cluster[:, None], -torch.inf)
    return cluster, top, top - others.amax(1)


def _unit_rows(features: np.ndarray, keys: np.ndarray, num_clusters: int) -> np.ndarray:
    """Check what is to be clustered and bring it to unit length, float32."""
    rows = np.asarray(features, np.float32)
    if rows.ndim != 2 or keys.shape != rows.shape[:1]:
        raise PrototypesError(
            f'features {rows.shape} and keys {keys.shape}, expected (n, D) and (n,)'
        )
    if num_clusters < 1 or len(rows) < num_clusters:
        raise PrototypesError(
            f'num_clusters={num_clusters} with {len(rows)} labelled crops, allowed are '
            '1 to as many as there are crops'
        )
    lengths = np.sqrt(np.einsum('nd,nd->n', rows, rows, dtype=np.float64))
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(wrong):
        raise PrototypesError(
            f'{len(wrong)} of {len(rows)} features are not finite or have length 0, '
            f'the first is that of crop {keys[wrong[0]]}'
        )
    if len(np.unique(keys)) != len(keys):
        raise PrototypesError('a labelled crop has been given twice (the same key)')
    return (rows / lengths[:, None]).astype(np.float32)


def _cluster(
    rows: np.ndarray, num_clusters: int, seed: list[int], num_iters: int
) -> np.ndarray:
    """Run one K-Means.

    Args:
        rows: float32, (n, D), unit length.
        num_clusters: M.
        seed: Of the first centroids.
        num_iters: Iterations.

    Returns:
        float32, (M, D), unit length.
    """
    from .._faiss import faiss

    start = _plus_plus(torch.from_numpy(rows), num_clusters, seed)
    kmeans = faiss.Kmeans(
        rows.shape[1],
        num_clusters,
        niter=num_iters,
        spherical=True,
        seed=1,  # draws nothing: start and rows are given
        min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
    )
    kmeans.train(rows, init_centroids=start)
    centroids = np.array(kmeans.centroids, np.float64)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    return centroids.astype(np.float32)


def _plus_plus(rows: Tensor, num_clusters: int, seed: list[int]) -> np.ndarray:
    """Choose first centroids by k-means++ (Arthur and Vassilvitskii, 2007).

    Args:
        rows: float32, (n, D), unit length.
        num_clusters: M.
        seed: Of the draws.

    Returns:
        Rows, float32 (M, D).

    Raises:
        PrototypesError: If there are fewer different rows than clusters.
    """
    draws = np.random.Generator(np.random.PCG64(seed)).random(num_clusters)
    chosen = [int(draws[0] * len(rows))]
    distance = np.full(len(rows), np.inf)
    for number, draw in enumerate(draws[1:], 1):
        cosine = (rows @ rows[chosen[-1]]).numpy().astype(np.float64)
        # What rounding leaves of equal rows is no distance.
        apart = np.where(cosine < 1 - 1e-6, 2 - 2 * cosine, 0)
        distance = np.minimum(distance, apart)
        sums = np.cumsum(distance)
        if not sums[-1] > 0:
            raise PrototypesError(
                f'num_clusters={num_clusters} with {number} different features among '
                f'{len(rows)} labelled crops; lower num_clusters'
            )
        chosen.append(int(np.searchsorted(sums, draw * sums[-1], side='right')))
    return rows[chosen].numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let faiss and torch add up in one order, whatever machine or launcher."""
    from .._faiss import faiss

    before = faiss.omp_get_max_threads(), torch.get_num_threads()
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before[0])
        torch.set_num_threads(before[1])
