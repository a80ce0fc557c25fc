"""Predictions of a teacher that is unsure of some classes, with padding."""

import torch

from s5_mm.models.pseudo_labels import Predictions

K, H, W = 4, 12, 20
#: Every rule that learns, with settings that make each of them pick some pixels.
RULES = dict(
    flexmatch=dict(type='s5_mm.FlexMatchThreshold', value=0.9, floor=0.6, momentum=0.5),
    flexmatch_cold=dict(
        type='s5_mm.FlexMatchThreshold', value=0.9, floor=0.1, warm_up=False
    ),
    freematch=dict(type='s5_mm.FreeMatchThreshold', floor=0.35, momentum=0.5),
    freematch_quantile=dict(
        type='s5_mm.FreeMatchThreshold', floor=0.6, ceiling=0.9, quantile=0.8
    ),
    softmatch=dict(type='s5_mm.SoftMatchWeight', momentum=0.5),
    softmatch_classes=dict(
        type='s5_mm.SoftMatchWeight', per_class=True, n_sigma=1.5, momentum=0.5
    ),
    adamatch=dict(type='s5_mm.AdaMatchThreshold', value=0.9, momentum=0.5),
    entropy=dict(type='s5_mm.EntropyPercentile', start=0.4, end=0.1),
    top_share=dict(type='s5_mm.TopShare', share=0.6, floor=0.7, momentum=0.5),
    rank=dict(type='s5_mm.RankWeight', momentum=0.7),
)
UPDATES = 5


def probabilities(seed: int, images: int = 4) -> torch.Tensor:
    """Distributions, (images, K, H, W); the last class is in every third batch only."""
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, K, H, W, generator=draw)
    logits[:, 0] += 2
    logits[:, K - 1] -= 50 if seed % 3 else 1
    return logits.softmax(dim=1)


def padding(images: int = 4) -> torch.Tensor:
    """Valid pixels, very different from image to image: a mean of means would show."""
    valid = torch.ones(images, H, W, dtype=torch.bool)
    for i in range(images):
        valid[i, H - 3 * i :] = False
        valid[i, :, : 2 * i] = False
    return valid


def ground_truth(seed: int) -> torch.Tensor:
    """Labels, (4, H, W), the last class in none of them."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, K - 1, (4, H, W), generator=draw)
    labels[:, : 2 + seed] = 0
    labels[seed % 4] = 255
    return labels


def predictions(seed: int, share: slice = slice(None)) -> Predictions:
    """Predictions of some of the four images of a batch; padding is certain of 0."""
    p, valid = probabilities(seed), padding()
    sure = torch.zeros_like(p)
    sure[:, 0] = 1
    p = torch.where(valid.unsqueeze(1), p, sure)[share]
    confidence, labels = p.max(dim=1)
    return Predictions(labels, confidence, valid[share], p)


def labelled_confidence(seed: int, share: slice = slice(None)) -> torch.Tensor:
    """Sum and number of the confidences of labelled pixels."""
    confidence = probabilities(seed + 100).amax(dim=1)[share]
    counted = padding()[share]
    return torch.stack([(confidence * counted).sum(), counted.sum()])


def learn(rule, seed: int, share: slice = slice(None)) -> torch.Tensor:
    """One iteration of a rule; returns the weights."""
    rule.progress = seed / UPDATES
    batch = predictions(seed, share)
    rule.update(batch)
    weight = rule(batch)
    # The student is called after the teacher.
    rule.observe_labelled(labelled_confidence(seed, share))
    return weight
