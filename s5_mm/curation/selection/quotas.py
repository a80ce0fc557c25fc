"""How many crops every cluster gives (Eq. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from s5_mm.io.crop_tables.run_names import QUOTA_POLICIES
from s5_mm.utils.argument_checks import check_choice, check_number


class Quotas(NamedTuple):
    """Numbers of crops by cluster.

    Attributes:
        wanted: Eq. 3, sums to the number asked for.
        filled: What the clusters give; for the policy ``'best'`` before the rest is
            taken from anywhere.
        rest: Crops that are taken from anywhere.
    """

    wanted: list[int]
    filled: list[int]
    rest: int


def share_exactly(total: int, weights: Sequence[int]) -> list[int]:
    """Share a number in proportion to weights, in whole numbers that sum to it.

    Every share is rounded down, and those with the largest remainders get one more;
    equal remainders in order.  In integers, so nothing depends on the machine.

    Args:
        total: What is shared, at least 0.
        weights: At least 0 and not all 0.

    Returns:
        The shares, ``total * weight / sum`` up to less than 1.

    Raises:
        ValueError: If the weights are negative or all 0.
    """
    weights = [int(weight) for weight in weights]
    if min(weights, default=0) < 0 or not any(weights):
        raise ValueError(f'weights={weights}, expected numbers >= 0, not all of them 0')
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-remainders[i], i))
    for i in order[: total - sum(shares)]:
        shares[i] += 1
    return shares


def fill_quotas(
    num_selected: int,
    counts: Sequence[int],
    available: Sequence[int],
    policy: str = 'redistribute',
) -> Quotas:
    """Settle the quotas with what there is.

    Args:
        num_selected: B^u.
        counts: N_m^l, labelled crops of each cluster; they sum to B^l.
        available: Crops that may be chosen of each cluster.
        policy: One of :data:`.run_names.QUOTA_POLICIES`.

    Returns:
        The numbers by cluster.

    Raises:
        ValueError: If more is asked for than there is (all policies but ``'leave'``),
            or no whole number of crops, a cluster has no labelled crop, runs dry under
            ``'error'``, or is missing from one of the lists, or the policy is unknown.
    """
    check_choice('selection.policy', policy, QUOTA_POLICIES)
    check_number('selection.num_selected', num_selected, 1, whole=True)
    if len(counts) != len(available):
        raise ValueError(
            f'{len(counts)} clusters have counts of labelled crops and '
            f'{len(available)} have crops to choose from, expected one number; score '
            'again with these prototypes'
        )
    if empty := [m for m, count in enumerate(counts) if count < 1]:
        raise ValueError(
            f'clusters {empty} have no labelled crop, so Eq. 3 gives them nothing; use '
            'fewer prototypes.num_clusters'
        )
    have = sum(available)
    if num_selected > have and policy != 'leave':
        raise ValueError(
            f'selection.num_selected={num_selected}, but only {have} crops may be '
            "chosen; ask for fewer, add sources, or selection.policy='leave'"
        )
    wanted = share_exactly(int(num_selected), counts)
    filled = [min(pair) for pair in zip(wanted, available, strict=True)]
    dry = [m for m, want in enumerate(wanted) if want > available[m]]
    if dry and policy == 'error':
        m = dry[0]
        raise ValueError(
            f'cluster {m} has {available[m]} crops for a quota of {wanted[m]}, and '
            f'{len(dry) - 1} others run dry; selection.policy may be '
            f'{list(QUOTA_POLICIES[:-1])}'
        )
    rest = int(num_selected) - sum(filled)
    if policy == 'redistribute':
        filled = _redistribute(rest, counts, available, filled)
        rest = 0
    return Quotas(wanted, filled, rest if policy == 'best' else 0)


def _redistribute(
    rest: int, counts: Sequence[int], available: Sequence[int], filled: list[int]
) -> list[int]:
    """Give what dry clusters lack to the others, by their labelled crops."""
    filled = list(filled)
    while rest:
        spare = [have - given for have, given in zip(available, filled, strict=True)]
        open_to = [
            count if left else 0 for count, left in zip(counts, spare, strict=True)
        ]
        shares = share_exactly(rest, open_to)
        for m, share in enumerate(shares):
            filled[m] += min(share, spare[m])
            rest -= min(share, spare[m])
    return filled
