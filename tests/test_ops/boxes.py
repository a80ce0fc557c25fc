"""Random rotated boxes."""

import math

import torch


def many_boxes(seed, count=150):
    """Boxes (count, 5) of 1 to 60 px that often overlap, scores and three classes."""
    draw = torch.Generator().manual_seed(seed)
    centres = torch.rand(count, 2, generator=draw) * 150
    sides = 1 + torch.rand(count, 2, generator=draw) * 59
    angles = (torch.rand(count, 1, generator=draw) * 2 - 1) * math.pi
    scores = torch.rand(count, generator=draw)
    labels = torch.randint(0, 3, (count,), generator=draw)
    return torch.cat((centres, sides, angles), dim=1), scores, labels
