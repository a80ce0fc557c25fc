"""Two processes get the loss and the gradients of one with the same batch."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn.parallel import DistributedDataParallel

from s5_mm.models.data_preprocessors import MultiBranchDataPreprocessor
from s5_mm.models.segmentors import FixMatch
from s5_mm.utils import SampleKey

from ...support.distributed import run_ranks
from ..toys import toy_segmentor
from .compiled import Graphs

SIZE = 16


def _batch(rank, world):
    """The rank's share of a batch of 4 labelled and 4 unlabelled images."""
    generator = torch.Generator().manual_seed(0)
    shape = (4, 3, SIZE, SIZE)
    images = {
        name: torch.randint(0, 256, shape, generator=generator).to(torch.uint8)
        for name in ('sup', 'unsup')
    }
    labels = torch.randint(0, 4, (4, 1, SIZE, SIZE), generator=generator)
    labels = labels.to(torch.uint8)
    labels[0, :, :10] = 255
    samples = dict(sup=[], unsup=[])
    for i in range(4):
        truth = SegDataSample(gt_sem_seg=PixelData(data=labels[i]))
        samples['sup'].append(truth)
        # Very different shares of padding: a mean of means would show.
        rect = (0, 0, SIZE, SIZE - 3 * i)
        meta = dict(sample_key=SampleKey(0, 1, i), valid_rect=rect)
        samples['unsup'].append(SegDataSample(metainfo=meta))
    share = slice(rank * 4 // world, (rank + 1) * 4 // world)
    return dict(
        inputs={name: value[share] for name, value in images.items()},
        data_samples={name: value[share] for name, value in samples.items()},
    )


def _step(rank, world, normalization, backend=None):
    torch.manual_seed(0)
    model = FixMatch(
        toy_segmentor('sync'),
        dict(conf_thresh=0.4, normalization=normalization),
        data_preprocessor=MultiBranchDataPreprocessor(
            mean=[120.0] * 3,
            std=[60.0] * 3,
            strong=dict(type='s5_mm.StrongAugment'),
            cutmix=dict(type='s5_mm.CutMix'),
        ),
    )
    model.init_weights()
    model.student.decode_head.conv_seg.weight.data.mul_(100)
    model = model.train()
    data = model.data_preprocessor(_batch(rank, world), True)
    # fp64 from here on: what is compared is the method, not rounding.
    model.student.double()
    wrapped = DistributedDataParallel(model) if world > 1 else model
    graphs = Graphs(backend or 'eager')
    if backend is not None:
        model.compile_steps(backend=graphs.backend, dynamic=False)
    data['inputs'] = {name: x.double() for name, x in data['inputs'].items()}
    loss, log_vars = model.parse_losses(wrapped(**data, mode='loss'))
    loss.backward()
    counts = model.read_pseudo_counts()
    gradients = {name: p.grad for name, p in model.student.named_parameters()}
    return dict(log=log_vars, gradients=gradients, counts=counts, graphs=graphs.count)


@pytest.mark.parametrize(
    ('normalization', 'backend'),
    [('valid', None), ('confident', None), ('valid', 'aot_eager')],
)
def test_two_processes_equal_one(tmp_path, normalization, backend):
    """Compiled too: the sums over processes are inside of the two graphs."""
    alone = _step(0, 1, normalization)
    both = run_ranks(_step, 2, tmp_path, normalization, backend)
    assert 0.05 < alone['log']['mask_ratio'] < 0.95
    for rank in both:
        for name, value in alone['log'].items():
            torch.testing.assert_close(rank['log'][name], value, rtol=1e-6, atol=0)
        for name, gradient in alone['gradients'].items():
            torch.testing.assert_close(
                rank['gradients'][name], gradient, rtol=1e-9, atol=1e-12
            )
        assert torch.equal(rank['counts'], alone['counts'])
        assert rank['graphs'] == (0 if backend is None else 2)
