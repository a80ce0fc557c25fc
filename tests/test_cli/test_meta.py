"""Models on the meta device."""

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from s5_mm.cli.meta import build_on_meta, count_params


class Wrapper(nn.Module):
    def __init__(self, student):
        super().__init__()
        self.student = student


def _config():
    return Config(dict(model=dict(type='s5_mm.ViT', arch='t')))


def test_nothing_is_allocated():
    model = build_on_meta(_config())
    assert {p.device.type for p in model.parameters()} == {'meta'}
    assert not model.training


def test_of_a_semi_supervised_wrapper_the_student_is_built(monkeypatch):
    build = MODELS.build
    monkeypatch.setattr(MODELS, 'build', lambda cfg: Wrapper(build(cfg)))
    model = build_on_meta(_config())
    assert type(model).__name__ == 'ViT'
    assert not model.training


def test_shared_parameters_count_once():
    with torch.device('meta'):
        layer = nn.Linear(3, 2)
    assert count_params(layer) == count_params(layer, nn.Sequential(layer)) == 8
    assert count_params() == 0
