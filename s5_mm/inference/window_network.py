"""What a trained segmentor needs to see windows of a large image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from s5_mm.checkpoints import CheckpointError, load_address, load_into
from s5_mm.io.images.sample_depth import SampleRange, check_range
from s5_mm.models.segmentors import MultiDatasetSegmentor, SemiBaseSegmentor
from s5_mm.models.segmentors.inference import Predict
from s5_mm.registry import MODELS
from s5_mm.utils.routing import RoutingError
from s5_mm.visualization import palette_of

from .banded_slide import check_protocol

# Transform that loads an image -> whether it gives RGB.
_LOADERS = {'LoadImage': True, 'LoadImageFromFile': False}


@dataclass(frozen=True)
class WindowNetwork:
    """A segmentor as :func:`s5_mm.inference.banded_slide` sees it.

    Attributes:
        predict: Maps normalised windows (N, 3, h, w) and metainfo to logits.
        prepare: Normalises windows, uint8 RGB (N, 3, h, w), on the device.
        test_cfg: Its protocol, checked.
        threshold: Of a single channel.
        classes: Names by label.
        palette: RGB by label.
        sample_range: How its images of more than 8 bits were scaled, see
            ``s5_mm.LoadImage``.
    """

    predict: Predict
    prepare: Callable[[Tensor], Tensor]
    test_cfg: Mapping[str, Any]
    threshold: float
    classes: Sequence[str]
    palette: Sequence[Sequence[int]]
    sample_range: SampleRange | None = None


def load_network(
    cfg: Config,
    checkpoint: str,
    dataset: str | None = None,
    device: str = 'cpu',
    windows: tuple[Sequence[int], Sequence[int]] | None = None,
) -> WindowNetwork:
    """Build the segmentor of a config with the weights of a checkpoint.

    Args:
        cfg: Config of a plain segmentor, of one in a ``SemiBaseSegmentor`` such as
            ``FixMatch``, or of a ``MultiDatasetSegmentor``.
        checkpoint: File or address of its weights.
        dataset: Whose head and protocol are taken, of several.
        device: Where it runs.
        windows: Size and stride of the windows, (H, W) each; they replace the
            protocol of the config but for its ``average``.

    Returns:
        The network.

    Raises:
        CheckpointError: The checkpoint does not fill the model.
        RoutingError: ``dataset`` is missing, unknown, or given to a plain model.
        ValueError: The protocol, the pipeline or the preprocessor needs the whole
            image, or there are no names of classes.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model: BaseModel = MODELS.build(cfg.model)
    stored = load_address(checkpoint)
    report = load_into(model, stored, checkpoint)
    if report.missing:
        raise CheckpointError(
            f'{checkpoint}: {len(report.missing)} tensors of the model are not in it, '
            f'{report.missing[0]} the first; expected a trained segmentor'
        )
    model = model.to(device).eval()
    predict, head, test_cfg = _route(model, dataset, cfg.filename)
    test_cfg = dict(test_cfg or {})
    if windows is not None:
        average = test_cfg.get('average', 'logits')
        size, stride = (tuple(pair) for pair in windows)
        test_cfg = dict(mode='slide', crop_size=size, stride=stride, average=average)
    check_protocol(test_cfg, f'{cfg.filename}, model {type(model).__name__}')
    info = _metainfo(cfg, stored, dataset)
    channels = head.out_channels
    found = len(info.get('classes') or ())
    if found != max(channels, head.num_classes) or found > 255:
        raise ValueError(
            f'{cfg.filename}: the model predicts {head.num_classes} classes, '
            f'{checkpoint} and the config name {found}; expected the same number, '
            '255 at most'
        )
    return WindowNetwork(
        predict=_cropped(predict),
        prepare=_preparation(cfg, model.data_preprocessor, dataset),
        test_cfg=test_cfg,
        threshold=getattr(head, 'threshold', None) or 0.3,
        classes=tuple(info['classes']),
        palette=palette_of(info),
        sample_range=_sample_range(cfg, dataset),
    )


def _route(
    model: BaseModel, dataset: str | None, config: str | None
) -> tuple[Predict, BaseDecodeHead, Mapping[str, Any] | None]:
    """Find what predicts: the network, its head and its protocol."""
    if isinstance(model, MultiDatasetSegmentor):
        if dataset not in model.datasets:
            raise RoutingError(
                f'{config}: the model has no data set {dataset!r}; --dataset must be '
                f'one of {list(model.datasets)}'
            )
        return (
            lambda images, _: model.encode_decode(images, dataset),
            model.decode_heads[dataset],
            model.settings[dataset].test_cfg,
        )
    plain = model.predictor if isinstance(model, SemiBaseSegmentor) else model
    own = getattr(plain, 'dataset_name', None)
    if dataset not in (None, own):
        raise RoutingError(
            f'{config}: --dataset {dataset} for {type(plain).__name__}, which has '
            f'{"one data set" if own is None else repr(own)}'
        )
    if not hasattr(plain, 'encode_decode') or not hasattr(plain, 'decode_head'):
        raise ValueError(
            f'{config}: the model is a {type(plain).__name__}, expected a segmentor '
            'with encode_decode and decode_head'
        )
    head = plain.decode_head
    # A cascade predicts by its last head.
    head = head[-1] if isinstance(head, nn.ModuleList) else head
    return plain.encode_decode, head, plain.test_cfg


def _cropped(predict: Predict) -> Predict:
    """Leave out the scores of what the preprocessor has padded windows with."""

    def cropped(windows: Tensor, metas: list[dict[str, Any]]) -> Tensor:
        height, width = metas[0]['img_shape']
        # mmseg resizes logits to the ``img_shape``, if it is a torch.Size.
        shape = windows.shape[-2:]
        padded = [dict(meta, img_shape=shape, pad_shape=tuple(shape)) for meta in metas]
        return predict(windows, padded)[..., :height, :width]

    return cropped


def _preparation(
    cfg: Config, preprocessor: nn.Module, dataset: str | None
) -> Callable[[Tensor], Tensor]:
    """Make the normalisation of the config, for RGB windows."""
    padding = getattr(preprocessor, 'test_cfg', None) or {}
    if padding.get('size') is not None:
        raise ValueError(
            f'{cfg.filename}: data_preprocessor.test_cfg={padding} pads images to one '
            'size, large images allow only size_divisor'
        )
    pipeline = _dataset_config(cfg, dataset).get('pipeline') or ()
    names = [str(step.get('type')).rsplit('.')[-1] for step in pipeline]
    loaders = [name for name in names if name in _LOADERS]
    others = [name for name in names if not name.startswith(('Load', 'Pack'))]
    if len(loaders) != 1 or others:
        raise ValueError(
            f'{cfg.filename}: test_dataloader.dataset.pipeline has {names}, expected '
            f'one of {list(_LOADERS)} and nothing that changes the image'
        )
    rgb = _LOADERS[loaders[0]]

    def prepare(windows: Tensor) -> Tensor:
        windows = windows if rgb else windows.flip(1)
        samples = [SegDataSample() for _ in windows]  # where padding is noted
        data = dict(inputs=list(windows), data_samples=samples)
        ready = preprocessor(data, False)['inputs']
        return torch.stack(ready) if isinstance(ready, list) else ready

    return prepare


def _sample_range(cfg: Config, dataset: str | None) -> SampleRange | None:
    """Read how the config loads images of more than 8 bits."""
    steps = _dataset_config(cfg, dataset).get('pipeline') or ()
    ends = [step['sample_range'] for step in steps if step.get('sample_range')]
    return check_range(ends[0], f'{cfg.filename}, LoadImage') if ends else None


def _dataset_config(cfg: Config, dataset: str | None) -> dict:
    """Config of the data set that the model is tested on."""
    whole = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    own = (whole.get('sources') or {}).get(dataset) or {}
    return {**whole, **own}


def _metainfo(cfg: Config, stored: Mapping[str, Any], dataset: str | None) -> dict:
    """Classes and palette: as trained where the checkpoint says it, else the config."""
    info = (stored.get('meta') or {}).get('dataset_meta') or {}
    info = (info.get('datasets') or {}).get(dataset, info)
    if info.get('classes'):
        return info
    return _dataset_config(cfg, dataset).get('metainfo') or {}
