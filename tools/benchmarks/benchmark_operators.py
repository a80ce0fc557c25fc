"""Compare a training step of Oriented R-CNN with operators in torch and compiled ones.

    python -m tools.benchmarks.benchmark_operators [--clock cpu]

Both sides are the same model on the same image and draw the same proposals, first with
the operators of ``s5_mm.ops``, then with those of ``mmcv._ext``, interleaved round by
round.  The first runs twice a round, and if these two differ by more than 3 % the
measurement is rejected (exit status 3).  ``--clock cpu`` is for machines that are busy
with other work.  The losses of both sides are printed too.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from importlib.util import module_from_spec
from types import ModuleType

import mmcv.ops
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmrotate.structures.bbox import RotatedBoxes
from torch import nn

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.cli.config import load_config
from s5_mm.ops import StandInFinder, is_compiled
from s5_mm.registry import MODELS

from .side_by_side import (
    CLOCKS,
    control_holds,
    describe_machine,
    measure,
    print_table,
    return_memory,
)

TORCH, AGAIN, COMPILED = 'operators in torch', 'the same again', 'compiled operators'
_MODULES = ('nms', 'box_iou_rotated', 'roi_align_rotated')


def torch_operators() -> ModuleType:
    """Build what stands in for ``mmcv._ext`` where it is missing."""
    finder = StandInFinder()
    module = module_from_spec(finder.find_spec('mmcv._ext'))
    finder.exec_module(module)
    return module


def use_operators(extension: ModuleType) -> None:
    """Let ``mmcv.ops`` call the functions of a module."""
    for name in _MODULES:
        sys.modules[f'{mmcv.ops.__name__}.{name}'].ext_module = extension


def sample(size: int, count: int, num_classes: int) -> DetDataSample:
    """Draw the boxes of an image.

    Args:
        size: Side of the image in pixels.
        count: Number of boxes, of 16 to 80 px.
        num_classes: Number of classes.

    Returns:
        A sample with ground truth in ``gt_instances``.
    """
    centres, sides = torch.rand(count, 2) * size, 16 + torch.rand(count, 2) * 64
    angles = (torch.rand(count, 1) - 0.5) * math.pi
    boxes = RotatedBoxes(torch.cat((centres, sides, angles), dim=1))
    shape = (size, size)
    found = DetDataSample(
        metainfo=dict(img_shape=shape, batch_input_shape=shape, pad_shape=shape)
    )
    found.gt_instances = InstanceData(
        bboxes=boxes.regularize_boxes('le90'),
        labels=torch.randint(num_classes, (count,)),
    )
    found.gt_instances.bboxes = RotatedBoxes(found.gt_instances.bboxes)
    found.ignored_instances = InstanceData(
        bboxes=RotatedBoxes(torch.zeros(0, 5)), labels=torch.zeros(0, dtype=torch.long)
    )
    return found


def training_step(
    model: nn.Module, image: torch.Tensor, truth: DetDataSample, extension: ModuleType
) -> Callable[[], float]:
    """Return what runs forward and backward with some operators and gives the loss."""

    def step() -> float:
        use_operators(extension)
        torch.manual_seed(0)
        model.zero_grad(set_to_none=True)
        loss, _ = model.parse_losses(model.loss(image, [truth]))
        loss.backward()
        return loss.item()

    return step


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison; returns the exit status."""
    parser = CommandParser(__doc__.splitlines()[0], __file__)
    parser.add_argument(
        '--config', default='configs/finetune_det/orcnn_vit-b_dotav2.py'
    )
    parser.add_argument('--img-size', type=int, default=512, help='pixels')
    parser.add_argument('--boxes', type=int, default=100, help='of the image')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--clock', default='wall', choices=sorted(CLOCKS))
    args = parser.parse_args(argv)
    cfg = load_config(args.config)
    if not is_compiled():
        parser.error('mmcv has no compiled operators to compare with: make ops')
    torch.set_num_threads(args.threads)
    init_default_scope('mmrotate')
    torch.manual_seed(0)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).train()
    image = torch.randn(1, 3, args.img_size, args.img_size)
    num_classes = model.roi_head.bbox_head.num_classes
    truth = sample(args.img_size, args.boxes, num_classes)
    own = training_step(model, image, truth, torch_operators())
    compiled = training_step(model, image, truth, sys.modules['mmcv._ext'])
    print(f'loss {own():.6f} with {TORCH}, {compiled():.6f} with {COMPILED}')
    runs = {TORCH: own, AGAIN: own, COMPILED: compiled}
    times = measure(runs, args.rounds, CLOCKS[args.clock], return_memory)
    print(
        f'{args.config}, one image of {args.img_size} px with {args.boxes} boxes, '
        f'forward + backward, {args.rounds} rounds, {args.clock} time'
    )
    print_table(times, COMPILED)
    for name, seconds in times.items():
        print(f'{name}: {min(seconds):.2f} to {max(seconds):.2f} s')
    print(describe_machine())
    return 0 if control_holds(times, TORCH, AGAIN) else 3


if __name__ == '__main__':
    start_command(main)
