"""Measure what the leakage check finds in copies of real tiles, and what it makes up.

    python tools/analysis_tools/benchmark_leakage.py data/a/img_dir/val data/b ...

Every tile is an image of a benchmark; the pool has altered copies of it.  Printed are
the recall of every layer by attack, for tiles with structure (flat ones are counted),
for copies that share half of the ground, and the false positives among pairs of tiles
of different folders, so folders must not show the same ground.  Tiles that are named
``*-x-y-z.*`` are also compared with the tile of the next coarser zoom level.

Features decide which pixels are compared.  With ``--scorer CONFIG CHECKPOINT`` they
come from the backbone of a scoring config, as in a curation run; without, from a
stand-in: means of random projections of SIFT descriptors.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import torch

from s5_mm.checkpoints import load_data_only, load_into
from s5_mm.curation.alignment import find_key_points, same_ground
from s5_mm.curation.eval_crops import (
    FEATURE_GAINS,
    EvalCrops,
    cut_eval_images,
    hash_eval_crop,
)
from s5_mm.curation.leakage import MIN_QUALITY, RADIUS, close_codes, match_hashes
from s5_mm.curation.matches import Policies, PoolCrops
from s5_mm.curation.perceptual_hash import perceptual_hash
from s5_mm.curation.provenance import Origin
from s5_mm.datasets.image_io import read_image
from s5_mm.registry import MODELS
from s5_mm.testing.attacks import ATTACKS
from s5_mm.utils.config import load_config

_PROJECTION = np.random.default_rng(0).normal(size=(128, 512)).astype(np.float32)
Describe = Callable[[np.ndarray, tuple[float, ...]], np.ndarray]
"""Takes a crop and gains of its copies and gives features, float32 (W, D)."""
_TILE_NAME = re.compile(r'.*-(\d+)-(\d+)-(\d+)')


def read_tiles(folder: Path, size: int) -> list[tuple[str, np.ndarray]]:
    """Cut the images of a folder into tiles.

    Args:
        folder: The folder.
        size: Side of the tiles in pixels; what remains at the border is left out.

    Returns:
        Name of the image and tile, uint8 (size, size, 3) RGB.
    """
    endings = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp')
    tiles = []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in endings):
        image = read_image(str(path), alpha='drop', grey='repeat')
        for y in range(0, image.shape[0] - size + 1, size):
            for x in range(0, image.shape[1] - size + 1, size):
                tile = np.ascontiguousarray(image[y : y + size, x : x + size])
                tiles.append((path.stem, tile))
    return tiles


def hash_pool(crops: Iterable[np.ndarray]) -> PoolCrops:
    """Hash crops, which get their numbers as identifiers."""
    hashes = [perceptual_hash(crop) for crop in crops]
    numbers = np.arange(len(hashes))
    codes = np.frombuffer(b''.join(h.code for h in hashes), np.uint8).reshape(-1, 32)
    quality = np.array([h.quality for h in hashes], np.float32)
    return PoolCrops(
        numbers.astype(np.uint64), numbers.astype(np.int32), [], codes, quality
    )


def cut(tiles: list[np.ndarray]) -> EvalCrops:
    """Make tiles the images of a benchmark, named by their numbers."""
    images = ((Origin('', '', str(i)), tile) for i, tile in enumerate(tiles))
    return cut_eval_images(images, size=tiles[0].shape[0])


def hash_matches(pool: list[np.ndarray], evals: EvalCrops) -> set[tuple[int, int]]:
    """Find crops of the pool by their hashes: its row, number of the image."""
    table = match_hashes(hash_pool(pool), evals, Policies())
    images = map(int, table['eval_image'].to_pylist())
    return set(zip(table['crop_id'].to_pylist(), images, strict=True))


def closest_bits(pool: PoolCrops, evals: EvalCrops, owners: np.ndarray) -> int:
    """Count the bits in which the closest crops of different folders differ."""
    closest = 8 * pool.codes.shape[1]
    for code, owner in zip(pool.codes, owners, strict=True):
        others = evals.codes[owners[evals.image] != owner]
        if len(others):
            bits = np.unpackbits(others ^ code, axis=-1).sum(-1)
            closest = min(closest, int(bits.min()))
    return closest


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


def stand_in(image: np.ndarray, gains: tuple[float, ...]) -> np.ndarray:
    """Describe a crop without a backbone, whatever its orientation."""
    small = cv2.resize(image, (192, 192), interpolation=cv2.INTER_AREA)
    flipped = np.ascontiguousarray(np.fliplr(small))
    return (_pooled(small) + _pooled(flipped))[None]


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


def _pooled(image: np.ndarray) -> np.ndarray:
    """Pool descriptors, float32 (512,)."""
    descriptors = find_key_points(image).descriptors
    if not len(descriptors):
        return np.zeros(_PROJECTION.shape[1], np.float32)
    return np.maximum(descriptors @ _PROJECTION - 1, 0).mean(0)


def half_overlaps(tile: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Cut pairs of crops that share half of the ground, or a quarter (diagonal)."""
    side = tile.shape[0] * 2 // 3
    rest = side // 2
    first = tile[:side, :side]
    return {
        name: (first.copy(), tile[y : y + side, x : x + side].copy())
        for name, x, y in (
            ('half, x', rest, 0),
            ('half, y', 0, rest),
            ('quarter, diagonal', rest, rest),
        )
    }


def zoom_level(name: str) -> int:
    """Read the zoom level from the name of a tile, -1 if it has none."""
    match = _TILE_NAME.fullmatch(name)
    return int(match[3]) if match else -1


def pyramid(names: list[str]) -> list[tuple[int, int]]:
    """List rows of tiles (finer) with those of the tile above them (coarser)."""
    place = {}
    for row, name in enumerate(names):
        if match := _TILE_NAME.fullmatch(name):
            place[tuple(map(int, match.groups()))] = row
    return [
        (row, place[x // 2, y // 2, z - 1])
        for (x, y, z), row in place.items()
        if (x // 2, y // 2, z - 1) in place
    ]


class Features:
    """The third layer.

    Args:
        describe: Gives features.
        tiles: Tiles of the benchmarks.
        folders: Number of each tile's folder.
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


def show(name: str, hashed: list[bool], found: list[tuple[bool, bool]]) -> None:
    """Print a row of the table of recalls."""
    similar, confirmed = np.array(found, bool).reshape(-1, 2).T
    both = similar & confirmed
    by_hash = np.array(hashed, bool)[: len(both)]
    shares = [np.mean(hashed), similar.mean(), confirmed.mean(), both.mean()]
    shares.append((by_hash | both).mean())
    print(f'{name:28s}' + ''.join(f'{100 * share:12.2f}' for share in shares))


def measure_attacks(
    tiles: list[np.ndarray], evals: EvalCrops, features: Features, count: int
) -> None:
    """Print the recall by attack.

    Args:
        tiles: Tiles with structure.
        evals: The same as images of a benchmark.
        features: Third layer; its first ``count`` tiles are the first of ``tiles``.
        count: Tiles that the third layer is measured on.
    """
    for name, attack in ATTACKS.items():
        copies = [attack(tile) for tile in tiles]
        matches = hash_matches(copies, evals)
        hashed = [(row, row) in matches for row in range(len(tiles))]
        pairs = zip(copies[:count], features.tiles[:count], strict=True)
        show(
            name,
            hashed,
            [features.found(features.of_pool(c), tile) for c, tile in pairs],
        )
    kinds: dict[str, tuple[list, list]] = {}
    for tile in tiles[:count]:
        for name, (first, second) in half_overlaps(tile).items():
            described = features.of_benchmark(first)
            for after in ('JPEG 30', '0.5, 0.7, turned, JPEG'):
                copy = ATTACKS[after](second)
                hashed, found = kinds.setdefault(f'{name}, {after[:8]}', ([], []))
                hashed.append(bool(hash_matches([copy], cut([first]))))
                found.append(features.found(features.of_pool(copy), described))
    for name, (hashed, found) in kinds.items():
        show(name, hashed, found)


def measure_pyramid(
    names: list[str],
    tiles: list[np.ndarray],
    features: Features,
    count: int,
    rng: np.random.Generator,
) -> None:
    """Print what is found of tiles in the tiles of the next coarser zoom level.

    Args:
        names: Names of all tiles of a folder.
        tiles: The tiles.
        features: Third layer.
        count: Pairs that it is measured on.
        rng: Draws them.
    """
    pairs = pyramid(names)
    finer = sorted({child for child, _ in pairs})
    coarser = sorted({parent for _, parent in pairs})
    matches = {
        (finer[child], coarser[parent])
        for child, parent in hash_matches(
            [tiles[row] for row in finer], cut([tiles[row] for row in coarser])
        )
    }
    level = [zoom_level(name) for name in names]
    same = {(c, p) for c, p in matches if level[c] == level[p]}
    other = matches - set(pairs) - same
    some = [pairs[i] for i in rng.permutation(len(pairs))[:count]]
    kinds = [
        features.found(features.of_pool(tiles[c]), features.of_benchmark(tiles[p]))
        for c, p in some
    ]
    similar, confirmed = np.array(kinds, bool).T
    print(
        f'  {len(pairs)} tiles of which a quarter of a coarser tile shows the ground; '
        f'hash layer {100 * np.mean([pair in matches for pair in pairs]):.1f} % '
        f'(beside them {len(other)} other pairs); of {len(some)}: similar features '
        f'{100 * similar.mean():.1f} %, confirmed {100 * confirmed.mean():.1f} %, '
        f'both {100 * (similar & confirmed).mean():.1f} %'
    )
    for child, parent in sorted(other)[:8]:
        print(f'    other pair: {names[child]} {names[parent]}')


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folders', nargs='+', type=Path, help='folders with images')
    parser.add_argument('--size', type=int, default=256, help='side of a tile in px')
    parser.add_argument(
        '--max-tiles', type=int, default=200, help='tiles of a folder that are attacked'
    )
    parser.add_argument(
        '--max-features', type=int, default=100, help='tiles of the layer of features'
    )
    parser.add_argument(
        '--pairs', type=int, default=5000, help='unrelated pairs of that layer'
    )
    parser.add_argument(
        '--scorer',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='whose backbone gives the features',
    )
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(args.seed)
    chosen, folders, pyramids, flat = [], [], [], 0
    for number, folder in enumerate(args.folders):
        read = read_tiles(folder, args.size)
        names, tiles = [name for name, _ in read], [tile for _, tile in read]
        if pyramid(names):
            pyramids.append((folder, names, tiles))
            finest = max(map(zoom_level, names))
            tiles = [tile for name, tile in read if zoom_level(name) == finest]
        some = [tiles[i] for i in rng.permutation(len(tiles))[: args.max_tiles]]
        informative = [t for t in some if perceptual_hash(t).quality >= MIN_QUALITY]
        flat += len(some) - len(informative)
        chosen += informative
        folders += [number] * len(informative)
    order = rng.permutation(len(chosen))
    tiles, owners = [chosen[i] for i in order], np.array(folders)[order]
    print(f'{len(tiles)} tiles with structure, {flat} flat ones are not hashed')
    count = min(args.max_features, len(tiles))
    describe = centred(stand_in, tiles[:count])
    if args.scorer:
        describe = backbone_features(*args.scorer, args.size)
    features = Features(describe, tiles[:count], owners[:count], rng, args.pairs)
    evals = cut(tiles)
    found = hash_matches(tiles, evals)
    unrelated = int((owners[:, None] != owners[None]).sum())
    wrong = sum(owners[a] != owners[b] for a, b in found)
    closest = closest_bits(hash_pool(tiles), evals, owners)
    print(
        f'false positives: hash layer (radius {RADIUS}) {wrong} of {unrelated} pairs, '
        f'the closest differ in {closest} bits'
    )
    total, agree = features.false_positives()
    print(f'false positives: pixels or codes agree in {agree} of {total} pairs')
    inside = sum(a < b and owners[a] == owners[b] for a, b in found)
    print(f'hash layer, pairs of one folder (not counted above): {inside}')
    columns = ('hash', 'similar', 'confirmed', 'both', 'together')
    print(f'recall in %{"":17s}' + ''.join(f'{name:>12s}' for name in columns))
    measure_attacks(tiles, evals, features, count)
    for folder, names, all_tiles in pyramids:
        print(folder)
        measure_pyramid(names, all_tiles, features, args.max_features, rng)


if __name__ == '__main__':
    main()
