"""Two processes train on the same samples to the same loss as one."""

import pytest
import torch

from s5_mm.checkpoints.comparison import last_checkpoint

from ..support.distributed import run_ranks
from .toy_s4p import toy_config, train

# Dropout and drop path draw for the batch that a process holds; without them the
# trainings must be equal.  SGD does not blow rounding up as Adam's first steps do.
SAME = dict(
    model__segmentor__backbone__drop_path_rate=0.0,
    model__segmentor__decode_head__dropout_ratio=0.0,
    model__semi_train_cfg__burn_in=0,
    optim_wrapper__optimizer=dict(_delete_=True, type='SGD', lr=0.01, momentum=0.9),
    train_cfg__max_iters=6,
    train_cfg__val_interval=6,
    default_hooks__checkpoint__interval=6,
    env_cfg__dist_cfg__backend='gloo',
)


def _train(rank, world, scenes, work_dir, shares):
    changes = dict(SAME)
    if world > 1:
        changes['launcher'] = 'pytorch'
    cfg = toy_config(scenes, **changes)
    cfg.train_dataloader.sampler.shares = shares
    cfg.train_dataloader.batch_size = sum(shares)
    # The picture hook would call the preprocessor again, on the first process only.
    cfg.custom_hooks = [h for h in cfg.custom_hooks if 'Vis' not in h.type]
    seen = []
    from s5_mm.models import MultiBranchDataPreprocessor

    plain = MultiBranchDataPreprocessor.forward

    def watch(self, data, training=False):
        if isinstance(data['inputs'], dict):
            for source in ('sup', 'unsup'):
                seen.append(
                    [(s.img_path, *s.sample_key) for s in data['data_samples'][source]]
                )
        return plain(self, data, training)

    MultiBranchDataPreprocessor.forward = watch
    try:
        train(cfg, work_dir)
    finally:
        MultiBranchDataPreprocessor.forward = plain
    return seen


@pytest.fixture(scope='module')
def trained(scenes, tmp_path_factory):
    alone, both = tmp_path_factory.mktemp('alone'), tmp_path_factory.mktemp('both')
    seen = _train(0, 1, scenes, alone, [4, 4])
    torch.set_num_threads(1)
    results = run_ranks(_train, 2, both, scenes, both, [2, 2])
    return (seen, last_checkpoint(alone)), (results, last_checkpoint(both))


def test_same_samples(trained):
    (alone, _), (ranks, _) = trained
    together = [[*first, *second] for first, second in zip(*ranks, strict=True)]
    assert together == alone
    assert len({sample for batch in alone for sample in batch}) > 8


def test_same_losses_and_figures(trained):
    (_, alone), (_, both) = trained
    for name, history in alone['message_hub']['log_scalars'].items():
        if 'time' in name:
            continue
        want = torch.tensor(history.data[0], dtype=torch.float64)
        got = both['message_hub']['log_scalars'][name].data[0]
        got = torch.tensor(got, dtype=torch.float64)
        # Validation figures are rounded to 0.01 and jump by a pixel.
        atol = 0.02 if name.startswith('val/') else 1e-6
        torch.testing.assert_close(got, want, rtol=1e-6, atol=atol, msg=name)


def test_same_weights(trained):
    (_, alone), (_, both) = trained
    assert set(alone['state_dict']) == set(both['state_dict'])
    for name, value in alone['state_dict'].items():
        torch.testing.assert_close(
            both['state_dict'][name], value, rtol=1e-4, atol=1e-5, msg=name
        )
