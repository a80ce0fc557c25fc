"""Load the state of a rule from checkpoints that may be of another one."""

from __future__ import annotations

from torch import Tensor, nn


def adopt_rule(
    state_dict: dict[str, Tensor], rule: nn.Module | None, prefix: str
) -> None:
    """Keep the state of a rule that a checkpoint has, or start it anew.

    All or nothing: two rules may have a name in common that means something else.

    Args:
        state_dict: Changed in place: what is not this rule's is dropped, what is
            missing is the rule's own.
        rule: The rule, None if there is none.
        prefix: Of its keys.
    """
    own = {} if rule is None else rule.state_dict(prefix=prefix)
    found = {key: value for key, value in state_dict.items() if key.startswith(prefix)}
    if _shapes(found) == _shapes(own):
        return
    for key in found:
        del state_dict[key]
    state_dict.update(own)


def _shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of tensors by name."""
    return {key: tuple(value.shape) for key, value in state.items()}
