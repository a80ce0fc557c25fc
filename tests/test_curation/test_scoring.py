"""Scores of a run: right, and the same bytes however they were made."""

from __future__ import annotations

import multiprocessing
import os
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch

from s5_mm.checkpoints import CheckpointError
from s5_mm.curation.planning.collections import read_collections
from s5_mm.curation.planning.crops import read_crops
from s5_mm.curation.planning.source_files import SourceFiles
from s5_mm.curation.scoring import CropStream, PatchScoringHook
from s5_mm.curation.scoring.prototypes import PrototypesError, fit_prototypes
from s5_mm.curation.scoring.prototypes_file import save_prototypes
from s5_mm.curation.scoring.score_parts import read_features, read_scorer
from s5_mm.io.crop_tables.parquet import (
    ManifestError,
    Parts,
    read_table,
    scores_schema,
    write_table,
)
from s5_mm.io.hashing import file_sha256
from s5_mm.registry import MODELS

from ..support.distributed import run_ranks
from .scoring import (
    CLASSES,
    MEAN,
    SIZE,
    STD,
    make_checkpoint,
    make_run,
    read_bytes,
    score,
    scorer_config,
)
from .test_entropy import plain


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A run with prototypes, scored by one process without workers."""
    root = tmp_path_factory.mktemp('curation')
    collections = make_run(root)
    checkpoint = make_checkpoint(root / 'model.pth')
    score(root, collections, checkpoint, 'cluster/score', hook=dict(features=True))
    plan, scored = root / 'run' / 'plan', root / 'run' / 'cluster' / 'score'
    ids, features, sha256 = read_features(plan, scored)
    assert sha256 == file_sha256(checkpoint)
    prototypes, _ = fit_prototypes(features, ids, 4, sha256)
    save_prototypes(root / 'run' / 'cluster' / 'prototypes.npz', prototypes)
    score(root, collections, checkpoint, hook=HOOK)
    return root, collections, checkpoint, prototypes


HOOK = dict(prototypes='cluster/prototypes.npz')


def load_model(checkpoint):
    model = MODELS.build(scorer_config()).eval()
    state = torch.load(checkpoint)['state_dict']
    model.student.load_state_dict(state)
    return model.student


def test_scores_are_those_of_the_plain_formulas(run) -> None:
    root, collections, checkpoint, prototypes = run
    student = load_model(checkpoint)
    work_dir = root / 'run'
    sources = SourceFiles(work_dir / 'plan', read_collections(collections))
    seen = 0
    assert len(Parts(work_dir / 'plan')) > 2
    for name in Parts(work_dir / 'plan'):
        crops = read_table(work_dir / 'plan' / name).to_pylist()
        gate = read_table(work_dir / 'scan' / name)['rejected'].to_pylist()
        table = read_table(work_dir / 'score' / name)
        assert table.schema.equals(scores_schema(len(CLASSES)))
        rows = table.to_pylist()
        features = np.load(work_dir / 'cluster' / 'score' / f'{name[:-8]}.npy')
        for crop, reason, row, feature in zip(crops, gate, rows, features, strict=True):
            assert row['crop_id'] == crop['crop_id']
            if reason:
                assert {row[key] for key in row if key != 'crop_id'} == {None}
                continue
            seen += 1
            window = [crop[key] for key in ('x', 'y', 'width', 'height')]
            number = crop['source']
            path = sources.find([number])[number].path
            (pixels,) = read_crops(path, np.array([window]), SIZE)
            image = (torch.from_numpy(pixels).float() - torch.tensor(MEAN)) / (
                torch.tensor(STD)
            )
            image = image.permute(2, 0, 1)[None]
            with torch.no_grad():
                logits = student.decode_head(student.extract_feat(image))
                tap = student.backbone.forward_intermediates(image)[-1]
            wanted = plain(logits, (SIZE, SIZE), False, 0, 'drop')
            for key, value in zip(
                ('entropy', 'foreground', 'confidence', 'class_areas'),
                wanted,
                strict=True,
            ):
                assert np.abs(np.array(row[key]) - value.numpy()).max() < 1e-5
            pooled = tap.double().mean((2, 3))[0].numpy()
            pooled /= np.linalg.norm(pooled)
            assert np.abs(feature - pooled).max() < 1e-3  # float16
            cosine = prototypes.prototypes.astype(np.float64) @ pooled
            assert row['cluster'] == cosine.argmax()
            assert abs(row['similarity'] - cosine.max()) < 1e-5
            assert abs(row['margin'] - np.diff(np.sort(cosine))[-1]) < 1e-5
    assert seen > 20


@pytest.mark.parametrize('num_workers', [1, 2])
def test_workers_change_no_byte(run, num_workers) -> None:
    root, collections, checkpoint, _ = run
    output = f'score_workers_{num_workers}'
    score(root, collections, checkpoint, output, num_workers, hook=HOOK)
    assert read_bytes(root / 'run' / output) == read_bytes(root / 'run' / 'score')


def _rank(rank, world, root, collections, checkpoint):
    runner = score(
        root,
        collections,
        checkpoint,
        'score_ranks',
        num_workers=rank,
        launcher='pytorch',
        hook=HOOK,
    )
    assert type(runner.model).__name__ == 'MMDistributedDataParallel'
    return runner.test_dataloader.dataset.parts


def test_two_processes_change_no_byte(run, tmp_path) -> None:
    root, collections, checkpoint, _ = run
    arguments = root, collections, checkpoint
    shares = run_ranks(_rank, 2, tmp_path, *arguments)
    assert all(shares)
    assert sorted(sum(shares, [])) == list(Parts(root / 'run' / 'plan'))
    wanted = read_bytes(root / 'run' / 'score')
    assert read_bytes(root / 'run' / 'score_ranks') == wanted


def test_killed_and_resumed(run) -> None:
    root, collections, checkpoint, _ = run
    folder = root / 'run' / 'score_killed'
    arguments = (root, collections, checkpoint, folder.name)
    fork = multiprocessing.get_context('fork')
    counts = []
    for kill_after in (0, 5, 3):
        child = fork.Process(
            target=score,
            args=arguments,
            kwargs=dict(num_workers=1, kill_after=kill_after, hook=HOOK),
        )
        child.start()
        child.join()
        assert child.exitcode == -9
        counts.append(len(list(folder.glob('part-*'))) if folder.exists() else 0)
    assert counts[0] == 0 < counts[1] < len(Parts(root / 'run' / 'plan'))
    times = {path: os.stat(path).st_mtime_ns for path in folder.glob('part-*')}
    score(*arguments, hook=HOOK)
    assert read_bytes(folder) == read_bytes(root / 'run' / 'score')
    # What was there was not done again; and of a finished pass nothing is.
    assert {path: os.stat(path).st_mtime_ns for path in times} == times
    score(*arguments, hook=HOOK)


def test_batches_are_whole_and_say_what_is_filling(run) -> None:
    root, collections, *_ = run
    arguments = dict(work_dir=root / 'run', collections=collections, size=SIZE)
    stream = CropStream(**arguments, batch_size=3, output='none')
    batches = list(stream)
    assert len(batches) == len(stream) > len(stream.parts)
    counts = {}
    for batch in batches:
        images, place = batch['inputs'], batch['data_samples']
        assert images.shape == (3, 3, SIZE, SIZE)
        assert images.dtype == torch.uint8
        assert place['start'] == counts.get(place['part'], 0)
        counts[place['part']] = place['start'] + place['count']
        for filling in images[place['count'] :]:
            assert torch.equal(filling, images[place['count'] - 1])
    for name in stream.parts:
        assert counts[name] == stream.passed(name)[1].sum()
    whole = CropStream(**arguments, output='none', gate=None)
    assert sum(b['data_samples']['count'] for b in whole) > sum(counts.values())


def test_a_part_without_crops_is_written(run, tmp_path) -> None:
    root, collections, checkpoint, _ = run
    for name in Parts(root / 'run' / 'plan'):
        table = read_table(root / 'run' / 'scan' / name)
        reasons = pa.array(['flat'] * len(table))
        table = table.set_column(1, 'rejected', reasons)
        write_table(root / 'run' / 'all_flat' / name, table)
    score(root, collections, checkpoint, 'score_flat', hook=HOOK, gate='all_flat')
    for name in Parts(root / 'run' / 'plan'):
        table = read_table(root / 'run' / 'score_flat' / name)
        assert table['entropy'].null_count == len(table) > 0


def test_two_scorers_are_not_mixed(run, tmp_path) -> None:
    root, collections, checkpoint, _ = run
    folder = root / 'run' / 'score_mixed'
    write = dict(output=folder.name, hook=HOOK)
    score(root, collections, checkpoint, **write)
    (folder / 'part-000001.parquet').unlink()
    other = make_checkpoint(tmp_path / 'other.pth', seed=1)
    with pytest.raises(PrototypesError, match='SHA-256 .*, the one in use has'):
        score(root, collections, other, **write)
    for changes, message in [
        (dict(batch_size=2), 'was scored with batch_size=3, now it is 2'),
        (
            dict(model=scorer_config(mode='keep')),
            "part-000000.parquet: was scored with mode='drop', now it is 'keep'",
        ),
        (dict(hook={}), 'was scored with prototypes=.*, now it is None'),
    ]:
        with pytest.raises(ManifestError, match=message):
            score(root, collections, checkpoint, **write | changes)


def test_other_classes_are_refused(run, tmp_path) -> None:
    root, collections, *_ = run
    order = (*CLASSES[1:], CLASSES[0])
    other = make_checkpoint(tmp_path / 'other.pth', classes=order)
    message = (
        r"other.pth: was trained for the 6 classes \['a', .*'background'\], the con"
    )
    with pytest.raises(CheckpointError, match=message):
        score(root, collections, other, 'score_none')
    fewer = make_checkpoint(tmp_path / 'fewer.pth', classes=CLASSES[:4])
    with pytest.raises(CheckpointError, match='conv_seg'):
        score(root, collections, fewer, 'score_none')
    with pytest.raises(ValueError, match='no checkpoint to score with'):
        score(root, collections, None, 'score_none')


def test_what_is_no_scorer_is_refused(run) -> None:
    root, collections, *_ = run
    stream = CropStream(root / 'run', collections, size=SIZE, output='none')
    loader = SimpleNamespace(dataset=stream)
    runner = SimpleNamespace(model=torch.nn.Identity(), test_dataloader=loader)
    with pytest.raises(ValueError, match='model is Identity, expected s5_mm.PatchSc'):
        PatchScoringHook().before_test(runner)
    loader.dataset = [1]
    with pytest.raises(ValueError, match='dataset is list, expected s5_mm.CropStream'):
        PatchScoringHook().before_test(runner)


def test_sources_that_changed_or_vanished(run, tmp_path) -> None:
    collections = make_run(tmp_path)
    arguments = dict(work_dir=tmp_path / 'run', collections=collections, size=SIZE)
    path = tmp_path / 'images' / '3.png'
    status = os.stat(path)
    with open(path, 'ab') as file:
        file.write(b'more')
    message = f'3.png: .* changed .* {status.st_size} bytes of {status.st_mtime_ns} ns'
    message += f' then, {status.st_size + 4} bytes'
    with pytest.raises(ManifestError, match=message):
        list(CropStream(**arguments))
    path.unlink()
    with pytest.raises(ManifestError, match='3.png: the source has vanished'):
        list(CropStream(**arguments))


def test_refused_streams(run, tmp_path) -> None:
    root, collections, *_ = run
    arguments = dict(work_dir=root / 'run', collections=collections)
    for changes, message in [
        (dict(batch_size=0), 'batch_size=0, expected at least 1'),
        (dict(small='drop'), r"small='drop', allowed are 'reflect' and 'zero'"),
        (dict(collections={'land': {'root': '.'}}), "the collection 'sea', the config"),
        (dict(plan='cluster'), 'cluster/sources.parquet: the table does not exist'),
        (dict(gate='nothing', output='x'), 'part-000000.parquet: the table does not e'),
    ]:
        with pytest.raises(ValueError, match=message):
            CropStream(**arguments | changes)
    name = 'part-000000.parquet'
    table = read_table(root / 'run' / 'scan' / name)
    write_table(root / 'run' / 'shifted' / name, table.slice(1))
    with pytest.raises(
        ManifestError, match=r'crops are not those of .*\(--redo scan\)'
    ):
        CropStream(**arguments, gate='shifted', output='x')


def test_features_are_needed_for_prototypes(run) -> None:
    root, *_ = run
    plan = root / 'run' / 'plan'
    with pytest.raises(
        ManifestError, match=r'part-000000.npy: no features .*features=T'
    ):
        read_features(plan, root / 'run' / 'score')
    with pytest.raises(ManifestError, match='no table of scores'):
        read_scorer(plan / 'part-000000.parquet')
