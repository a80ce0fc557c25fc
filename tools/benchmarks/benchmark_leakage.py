"""Measure what the leakage check finds in copies of real tiles, and what it makes up.

    python -m tools.benchmarks.benchmark_leakage data/a/img_dir/val data/b ...

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

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.curation.overlap.eval_crops import EvalCrops
from s5_mm.curation.overlap.leakage import MIN_HASH_QUALITY, RADIUS
from s5_mm.curation.overlap.perceptual_hash import perceptual_hash
from tools.benchmarks.attacks import ATTACKS

from .leakage_features import Features, backbone_features, centred, stand_in
from .leakage_hashes import as_benchmark, closest_bits, hash_matches, hash_pool
from .leakage_tiles import half_overlaps, pyramid, read_tiles, zoom_level


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
                hashed.append(bool(hash_matches([copy], as_benchmark([first]))))
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
            [tiles[row] for row in finer], as_benchmark([tiles[row] for row in coarser])
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


def main(argv: Sequence[str] | None = None) -> None:
    """Print the measurements."""
    parser = CommandParser(__doc__, __file__)
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
    args = parser.parse_args(argv)
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
        informative = [
            t for t in some if perceptual_hash(t).quality >= MIN_HASH_QUALITY
        ]
        flat += len(some) - len(informative)
        chosen += informative
        folders += [number] * len(informative)
    if not chosen:
        raise ValueError(
            f'{", ".join(map(str, args.folders))}: no tile of {args.size} px with '
            'structure, expected folders of images'
        )
    order = rng.permutation(len(chosen))
    tiles, owners = [chosen[i] for i in order], np.array(folders)[order]
    print(f'{len(tiles)} tiles with structure, {flat} flat ones are not hashed')
    count = min(args.max_features, len(tiles))
    describe = centred(stand_in, tiles[:count])
    if args.scorer:
        describe = backbone_features(*args.scorer, args.size)
    features = Features(describe, tiles[:count], owners[:count], rng, args.pairs)
    evals = as_benchmark(tiles)
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
    start_command(main)
