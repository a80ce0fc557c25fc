"""The layer of hashes, as ``benchmark_leakage.py`` measures it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from s5_mm.curation.overlap.eval_crops import EvalCrops, cut_eval_images
from s5_mm.curation.overlap.leakage import match_hashes
from s5_mm.curation.overlap.matches import Policies, PoolCrops
from s5_mm.curation.overlap.perceptual_hash import perceptual_hash
from s5_mm.curation.overlap.provenance import Origin


def hash_pool(crops: Iterable[np.ndarray]) -> PoolCrops:
    """Hash crops of the pool, which get their numbers as identifiers.

    Args:
        crops: uint8, (H, W, 3), RGB each.

    Returns:
        Their codes and qualities.
    """
    hashes = [perceptual_hash(crop) for crop in crops]
    numbers = np.arange(len(hashes))
    codes = np.frombuffer(b''.join(h.code for h in hashes), np.uint8).reshape(-1, 32)
    quality = np.array([h.quality for h in hashes], np.float32)
    return PoolCrops(
        numbers.astype(np.uint64), numbers.astype(np.int32), [], codes, quality
    )


def as_benchmark(tiles: list[np.ndarray]) -> EvalCrops:
    """Make tiles the images of a benchmark, named by their numbers.

    Args:
        tiles: uint8, (size, size, 3), RGB, all of one size.

    Returns:
        Their crops, hashed in eight orientations at every gain.
    """
    images = ((Origin('', '', str(i)), tile) for i, tile in enumerate(tiles))
    return cut_eval_images(images, size=tiles[0].shape[0])


def hash_matches(pool: list[np.ndarray], evals: EvalCrops) -> set[tuple[int, int]]:
    """Find crops of the pool by their hashes.

    Args:
        pool: uint8, (H, W, 3), RGB each.
        evals: Crops of the benchmark.

    Returns:
        Row in the pool and number of the benchmark's image, of every match.
    """
    table = match_hashes(hash_pool(pool), evals, Policies())
    images = map(int, table['eval_image'].to_pylist())
    return set(zip(table['crop_id'].to_pylist(), images, strict=True))


def closest_bits(pool: PoolCrops, evals: EvalCrops, owners: np.ndarray) -> int:
    """Count the bits in which the closest crops of different folders differ.

    Args:
        pool: The tiles as crops of the pool.
        evals: The same tiles as images of a benchmark.
        owners: Number of each tile's folder, integer, (N,).

    Returns:
        The fewest bits, those of a whole code where there is one folder.
    """
    closest = 8 * pool.codes.shape[1]
    for code, owner in zip(pool.codes, owners, strict=True):
        others = evals.codes[owners[evals.image] != owner]
        if len(others):
            bits = np.unpackbits(others ^ code, axis=-1).sum(-1)
            closest = min(closest, int(bits.min()))
    return closest
