"""Images without labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.dataset import Compose
from torch.utils.data import Dataset

from s5_mm.io.crop_tables.shard_table import ShardTable
from s5_mm.io.crop_tables.window_table import WindowTable, is_curated
from s5_mm.io.images.fill import SmallPolicy
from s5_mm.io.images.header import ImageError
from s5_mm.io.path_table import IMAGE_SUFFIXES, PathTable
from s5_mm.registry import DATASETS
from s5_mm.utils.randomness import SampleKey, View, sample_generator, seeded_for

_PROBES = 16


@DATASETS.register_module()
class UnlabelledDataset(Dataset):
    """Images from a folder, a list, a manifest or shards; no masks asked for.

    A broken image never ends a run: another one of the data set takes its place,
    drawn as a function of the sample, and the sample carries ``replaced`` in its
    metainfo, a list of ``(path, reason)``.  :class:`s5_mm.BadSampleHook` keeps the
    ledger and stops a run that replaces too many.

    Exactly one of ``data_dir``, ``ann_file``, ``manifest`` and ``shards`` says what the
    images are.  Relative names in a list or a manifest are relative to ``data_root``.
    The selected crops of a curation run have the same order in its manifest and in its
    shards, so training sees the same samples from either.

    Args:
        data_root: Folder that everything else is relative to.
        data_dir: Folder whose images are used, sub-folders included.
        ann_file: Text file with one image a line.
        manifest: Parquet file with a column of images; or that of a curation run,
            whose selected crops are read as windows of its sources.  Formats other than
            TIFF are decoded whole for every window: make shards of them.
        shards: Folder of shards with their index.
        column: Column of a ``manifest`` that is a plain list.
        roots: For the manifest of a run: by the name of a collection, the folder its
            images are in, relative to ``data_root``, which is the folder of all of them
            where ``roots`` is None.
        crop_size: For the manifest of a run: side in pixels that windows of smaller
            images are filled up to, as in shards; None leaves them as they are.
        small: What they are filled with: ``'reflect'`` or ``'zero'``.
        separator: Character that ends the name in a line of ``ann_file``.  None: the
            whole line is the name.
        suffixes: Endings of the files taken from ``data_dir``.
        pipeline: Transforms; the first should be ``s5_mm.LoadImage``, whose errors
            are the ones that lead to a replacement.
        max_replacements: Images tried in the place of a broken one before giving up.
        metainfo: Kept as it is.

    Raises:
        ValueError: If not exactly one source is given, or it is empty.
        FileNotFoundError: If the source does not exist, none of its images does, or a
            shard is missing.
    """

    def __init__(
        self,
        data_root: str = '',
        data_dir: str | None = None,
        ann_file: str | None = None,
        manifest: str | None = None,
        shards: str | None = None,
        column: str = 'path',
        separator: str | None = None,
        suffixes: Sequence[str] = IMAGE_SUFFIXES,
        roots: Mapping[str, str] | None = None,
        crop_size: int | None = None,
        small: SmallPolicy = 'reflect',
        pipeline: Sequence[dict | Callable] = (),
        max_replacements: int = 16,
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        given = {
            'data_dir': data_dir,
            'ann_file': ann_file,
            'manifest': manifest,
            'shards': shards,
        }
        chosen = [name for name, value in given.items() if value is not None]
        if len(chosen) != 1:
            raise ValueError(
                f'UnlabelledDataset got {chosen or "none"} of {list(given)}, expected '
                'exactly one'
            )
        root = data_root or ''
        self.paths: PathTable | WindowTable | ShardTable
        if data_dir is not None:
            folder = os.path.normpath(os.path.join(root, data_dir))
            self.paths = PathTable.from_folder(folder, suffixes)
        elif ann_file is not None:
            file = os.path.join(root, ann_file)
            self.paths = PathTable.from_list(file, root, separator)
        elif shards is not None:
            self.paths = ShardTable.open(os.path.join(root, shards))
        else:
            file = os.path.join(root, manifest or '')
            if is_curated(file):
                self.paths = WindowTable.from_manifest(
                    file, root, roots, crop_size, small
                )
            else:
                self.paths = PathTable.from_manifest(file, column, root)
        self._probe(chosen[0])
        self.data_root = root
        self.pipeline = Compose(list(pipeline))
        self.max_replacements = max_replacements
        self._metainfo = dict(metainfo or {})

    @property
    def metainfo(self) -> dict:
        """Meta information, a copy."""
        return dict(self._metainfo)

    def __len__(self) -> int:
        return len(self.paths)

    def get_data_info(self, index: int) -> dict:
        """Say where an image is.

        Args:
            index: Row of the list.

        Returns:
            What the pipeline starts from.
        """
        return {**self.paths.info(index), 'sample_idx': int(index)}

    def __getitem__(self, index: int) -> Any:
        key = getattr(index, 'key', None) or SampleKey(0, 0, int(index))
        return self.prepare(int(index), {'sample_key': key})

    def prepare(self, index: int, extra: Mapping[str, Any]) -> Any:
        """Run the pipeline, on another image where one is broken.

        Args:
            index: Row of the list.
            extra: Entries added to the results dict, ``sample_key`` among them.

        Returns:
            What the pipeline returns, with ``replaced`` in the metainfo of its
            ``data_samples`` if an image was replaced.

        Raises:
            ImageError: If ``max_replacements`` images in a row are broken too.
        """
        key = extra['sample_key']
        replaced: list[tuple[str, str]] = []
        others = None
        for _ in range(self.max_replacements + 1):
            results = {**self.get_data_info(index), **extra}
            try:
                with seeded_for(self.pipeline, key, View.GEOMETRY):
                    packed = self.pipeline(results)
            except ImageError as error:
                replaced.append((error.path, error.reason))
            else:
                if replaced:
                    packed['data_samples'].set_metainfo({'replaced': replaced})
                return packed
            others = others or sample_generator(key, View.REPLACEMENT)
            index = int(others.integers(len(self)))
        path, reason = replaced[-1]
        raise ImageError(
            path,
            f'{reason}; it is the last of {len(replaced)} broken images in a row '
            f'(max_replacements={self.max_replacements}) from {self.paths.origin}',
        )

    def _probe(self, argument: str) -> None:
        """Refuse a list whose names lead nowhere, most often a wrong root."""
        step = max(1, len(self.paths) // _PROBES)
        probes = range(0, len(self.paths), step)[: _PROBES + 1]
        if not any(self.paths.exists(index) for index in probes):
            raise FileNotFoundError(
                f'{self.paths.origin}: none of {len(probes)} images looked for '
                f'exists, the first is {self.paths[0]}; check data_root and {argument}'
            )
