"""Measure the loading of training images: ms per sample and images/s by workers.

    python -m tools.benchmarks.benchmark_dataloader [CONFIG] [--workers 0 1 2]

It starts with the time to open a list of a million names (``--names``), as text and as
Parquet, and the bytes that a further worker costs.  Without a config it writes 512x512
JPEG and PNG files to a temporary folder and loads them with the weak pipeline of
pre-training, in turn with the PIL pipeline of the release's shape
(``plain_loader.py``); with one it loads the config's train set.  Times of a sample are
CPU times of one core; run it with OMP_NUM_THREADS=1 on a quiet machine.
"""

from __future__ import annotations

import argparse
import pickle
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from s5_mm.cli.arguments import add_options_argument
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.cli.config import load_config
from s5_mm.datasets import MultiSourceDataset
from s5_mm.io.path_table import PathTable
from s5_mm.utils.batch_size import pass_batch_size
from s5_mm.utils.randomness import SampleKey, StreamIndex

from .plain_loader import plain_sample

_TURN = 20


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('config', nargs='?', help='config with a train_dataloader')
    parser.add_argument('--names', type=int, default=1_000_000, help='in the list')
    parser.add_argument('--workers', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--samples', type=int, default=200, help='per source')
    parser.add_argument('--batches', type=int, default=20, help='per number of workers')
    add_options_argument(parser)
    return parser.parse_args(argv)


def write_images(folder: Path, suffix: str, count: int = 16, size: int = 512) -> None:
    """Write smooth noise that compresses about as aerial images do."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(count):
        noise = generator.integers(0, 256, (size, size, 3), np.uint8)
        image = cv2.GaussianBlur(noise, (0, 0), 1.0)
        options = [cv2.IMWRITE_JPEG_QUALITY, 90] if suffix == '.jpg' else []
        cv2.imwrite(str(folder / f'{index:03d}{suffix}'), image, options)


def synthetic(folder: Path) -> dict:
    """Write images and give the train_dataloader that loads them."""
    pipeline = [
        {'type': 's5_mm.LoadImage'},
        {'type': 's5_mm.RandomGeometry', 'crop_size': 512},
        {'type': 's5_mm.PackSample'},
    ]
    sources = {}
    for name in ('jpg', 'png'):
        write_images(folder / name, f'.{name}')
        sources[name] = {
            'type': 's5_mm.UnlabelledDataset',
            'data_dir': str(folder / name),
            'pipeline': pipeline,
        }
    return {
        'batch_size': 24,
        'dataset': {'type': 's5_mm.MultiSourceDataset', 'sources': sources},
        'sampler': {'type': 's5_mm.MultiSourceSampler', 'shares': [24, 0]},
        'collate_fn': {'type': 's5_mm.branch_collate'},
    }


def time_samples(
    dataset: MultiSourceDataset, samples: int, folder: Path | None = None
) -> None:
    """Print the CPU time of a sample of each source, in this process.

    Args:
        dataset: The sources.
        samples: Of each source.
        folder: Of the images that :func:`synthetic` wrote; they are loaded as in the
            release, too.
    """
    start = 0
    lengths = zip(dataset.source_names, dataset.source_lengths, strict=True)
    for source, (name, length) in enumerate(lengths):
        paths = sorted((folder / name).iterdir()) if folder else []
        times, plain = [], []
        # In turns of 20: right behind the other, ours pays for memory it gave back.
        for first in range(0, samples, _TURN):
            indices = range(first, min(first + _TURN, samples))
            for index in indices:
                # A place of its own in the stream, so as many geometries as samples.
                key = SampleKey(0, source, index)
                item = StreamIndex(start + index % length, key)
                begin = time.thread_time()
                sample = dataset[item]
                times.append(1e3 * (time.thread_time() - begin))
            for index in indices if paths else ():
                begin = time.thread_time()
                plain_sample(paths[index % length])
                plain.append(1e3 * (time.thread_time() - begin))
        size = sum(
            t.numel() * t.element_size()
            for t in (sample['inputs'], *_labels(sample['data_samples']))
        )
        print(
            f'source {name}: median {np.median(times):.2f} ms, mean '
            f'{np.mean(times):.2f} ms, min {min(times):.2f} ms a sample, '
            f'{size / 1e6:.2f} MB to the main process'
        )
        if plain:
            print(
                f'  as the release: median {np.median(plain):.2f} ms, mean '
                f'{np.mean(plain):.2f} ms, min {min(plain):.2f} ms; ours is '
                f'{np.median(plain) / np.median(times):.1f}x as fast by the medians, '
                f'{np.mean(plain) / np.mean(times):.1f}x by the means'
            )
        start += length


def _labels(data_sample: object) -> list[torch.Tensor]:
    """Give the labels of a sample, if it has some."""
    return [data_sample.gt_sem_seg.data] if 'gt_sem_seg' in data_sample else []


def time_loader(cfg: dict, workers: int, batches: int) -> None:
    """Print the throughput of the loader with a number of workers."""
    cfg = {**cfg, 'num_workers': workers, 'persistent_workers': False}
    for key in ('prefetch_factor', 'pin_memory', 'multiprocessing_context'):
        cfg.pop(key, None)
    loader = Runner.build_dataloader(cfg, seed=0)
    iterator = iter(loader)
    for _ in range(max(2, 2 * workers)):  # what the workers load ahead does not count
        next(iterator)
    begin = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    rate = batches * loader.batch_size / (time.perf_counter() - begin)
    print(f'{workers} worker(s): {rate:.0f} images/s')


def time_lists(folder: Path, count: int) -> None:
    """Open a list of so many names as text and as Parquet.

    Args:
        folder: Where the lists are written.
        count: Number of names.
    """
    names = [f'part_{i // 1000:04d}/image_{i:08d}.png' for i in range(count)]
    text, parquet = folder / 'list.txt', folder / 'list.parquet'
    text.write_text('\n'.join(names), encoding='utf-8')
    pq.write_table(pa.table({'path': names}), parquet)
    for path, read in (
        (text, PathTable.from_list),
        (parquet, PathTable.from_manifest),
    ):
        start = time.perf_counter()
        table = read(str(path))
        seconds = time.perf_counter() - start
        assert len(table) == count
        print(
            f'{path.suffix[1:]:8} {count} names open in {seconds:.2f} s; '
            f'{len(pickle.dumps(table))} bytes go to a spawned worker'
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = parse_args(argv)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        time_lists(Path(folder), args.names)
        if args.config:
            config = load_config(args.config, args.cfg_options)
            init_default_scope(config.get('default_scope', 'mmseg'))
            cfg = pass_batch_size(config.train_dataloader.to_dict())
        else:
            init_default_scope('mmseg')
            cfg = synthetic(Path(folder))
        loader = Runner.build_dataloader(
            {**cfg, 'num_workers': 0, 'persistent_workers': False}, seed=0
        )
        written = None if args.config else Path(folder)
        time_samples(loader.dataset, args.samples, written)
        for workers in args.workers:
            time_loader(cfg, workers, args.batches)


if __name__ == '__main__':
    start_command(main)
