"""The layers of features and pixels, as ``benchmark_leakage.py`` measures them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch

from s5_mm.checkpoints import load_data_only, load_into
from s5_mm.cli.config import load_config
from s5_mm.curation.overlap.eval_crops import FEATURE_GAINS, hash_eval_crop
from s5_mm.curation.overlap.ground_alignment import find_key_points, same_ground
from s5_mm.curation.overlap.leakage import close_codes
from s5_mm.registry import MODELS

_PROJECTION = np.random.default_rng(0).normal(size=(128, 512)).astype(np.float32)
Describe = Callable[[np.ndarray, tuple[float, ...]], np.ndarray]
"""Takes a crop and gains of its copies and gives features, float32 (W, D)."""


class Described:
    """Key points of an image and of its mirror image, and a feature of both.

    Args:
        image: uint8, (H, W, 3), RGB.
        describe: Gives features.
        gains: Of the copies that are described too, those of a benchmark.
    """

    def __init__(
        self, image: np.ndarray, describe: Describe, gains: tuple[float, ...] = ()
    ) -> None:
        self.points = find_key_points(image)
        self.mirrored = find_key_points(np.ascontiguousarray(np.fliplr(image)))
        self.features = describe(image, gains)
        self.codes = hash_eval_crop(image)[0]  # the first one is that of the pool

    def similarity(self, other: Described) -> float:
        """Largest cosine with the features of a crop of a benchmark."""
        norms = np.linalg.norm(other.features, axis=1) * np.linalg.norm(
            self.features[0]
        )
        return float(
            (other.features @ self.features[0] / np.maximum(norms, 1e-9)).max()
        )

    def confirmed(self, other: Described) -> bool:
        """Tell whether pixels or codes say that the ground is the same."""
        aligned = same_ground(self.points, other.points, other.mirrored) is not None
        return aligned or close_codes(other.codes, self.codes[0])


class Features:
    """The third layer: features say which pairs to compare, pixels or codes confirm.

    Args:
        describe: Gives features.
        tiles: Tiles of the benchmarks, uint8, (H, W, 3), RGB each.
        folders: Number of each tile's folder, integer, (N,).
        rng: Draws pairs of unrelated tiles.
        pairs: How many of them.
    """

    def __init__(
        self,
        describe: Describe,
        tiles: list[np.ndarray],
        folders: np.ndarray,
        rng: np.random.Generator,
        pairs: int,
    ) -> None:
        self.describe = describe
        self.tiles = [self.of_benchmark(tile) for tile in tiles]
        drawn = rng.integers(0, len(tiles), (4 * pairs, 2))
        drawn = drawn[folders[drawn[:, 0]] != folders[drawn[:, 1]]][:pairs]
        self.drawn = [(self.tiles[a], self.tiles[b]) for a, b in drawn]
        cosines = [a.similarity(b) for a, b in self.drawn]
        self.least = float(np.quantile(cosines, 0.99)) if cosines else 0.0

    def of_benchmark(self, tile: np.ndarray) -> Described:
        """Describe a crop of a benchmark."""
        return Described(tile, self.describe, FEATURE_GAINS)

    def of_pool(self, copy: np.ndarray) -> Described:
        """Describe a crop of the pool."""
        return Described(copy, self.describe)

    def false_positives(self) -> tuple[int, int]:
        """Count unrelated pairs, and those that are confirmed, similar or not."""
        return len(self.drawn), sum(a.confirmed(b) for a, b in self.drawn)

    def found(self, copy: Described, tile: Described) -> tuple[bool, bool]:
        """Tell whether a pair is similar, and whether it is confirmed."""
        similar = copy.similarity(tile) >= self.least
        return similar, copy.confirmed(tile)


def stand_in(image: np.ndarray, gains: tuple[float, ...]) -> np.ndarray:
    """Describe a crop without a backbone, whatever its orientation."""
    small = cv2.resize(image, (192, 192), interpolation=cv2.INTER_AREA)
    flipped = np.ascontiguousarray(np.fliplr(small))
    return (_pooled(small) + _pooled(flipped))[None]


def _pooled(image: np.ndarray) -> np.ndarray:
    """Pool descriptors, float32 (512,)."""
    descriptors = find_key_points(image).descriptors
    if not len(descriptors):
        return np.zeros(_PROJECTION.shape[1], np.float32)
    return np.maximum(descriptors @ _PROJECTION - 1, 0).mean(0)


def centred(describe: Describe, tiles: list[np.ndarray]) -> Describe:
    """Take away from features what all tiles have in common."""
    mean = np.mean([describe(tile, ()) for tile in tiles], axis=0)
    return lambda image, gains: describe(image, gains) - mean


def backbone_features(config: str, checkpoint: str, size: int) -> Describe:
    """Make the backbone of a scoring config describe crops.

    Args:
        config: One of ``configs/curation/score_*.py``.
        checkpoint: Its checkpoint.
        size: Side in pixels to which crops are brought, as a run brings them.

    Returns:
        Gives its pooled features.
    """
    cfg = load_config(config)
    model = MODELS.build(cfg.model)
    load_into(model, load_data_only(checkpoint), checkpoint)

    def describe(image: np.ndarray, gains: tuple[float, ...]) -> np.ndarray:
        side = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
        inputs = torch.from_numpy(side).permute(2, 0, 1)
        batch = model.data_preprocessor(dict(inputs=[inputs]), False)
        model.set_gains(gains)
        features = model.predict(batch['inputs'])[0]['features']
        return features.reshape(-1, features.shape[-1]).float().numpy()

    return describe
