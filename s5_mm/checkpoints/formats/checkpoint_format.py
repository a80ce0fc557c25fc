"""What a format of checkpoints is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from s5_mm.checkpoints.keys import plain_names


class Converted(NamedTuple):
    """A checkpoint in the names of this package's models.

    Attributes:
        state: Tensors by their new names.
        source: New name -> name in the file.
        unused: Names in the file that no model has a place for.
        meta: What the file's ``meta`` should say besides, e.g. ``dataset_meta``.
        notes: What was changed in the tensors, for the log.
    """

    state: dict[str, Tensor]
    source: dict[str, str]
    unused: list[str]
    meta: dict[str, Any]
    notes: list[str]


class Format(ABC):
    """One origin of checkpoints, recognised by the names in them.

    All names are without the wrappers ``module.`` and ``_orig_mod.``.
    """

    #: What ``convert_checkpoint.py --from`` calls it.
    name: ClassVar[str]
    #: Whose files these are.
    title: ClassVar[str]
    #: Settings of the config with which the original's outputs are reproduced.
    settings: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def matches(self, names: Collection[str]) -> bool:
        """Tell whether a file with these names has this format."""

    @abstractmethod
    def rename(self, names: Collection[str]) -> dict[str, str]:
        """Translate names; what has no place in a model is left out.

        Raises:
            CheckpointError: The names contradict each other.
        """

    def adapt(self, state: dict[str, Tensor]) -> list[str]:
        """Change tensors, by their new names, in place; return what was done."""
        return []

    def lacking(self, names: Collection[str]) -> list[str]:
        """List the new names that no model of this package has a part for.

        Only of the format's own kind of network; what else a file holds (heads,
        decoders, networks of the hosts) is not judged.
        """
        return []

    def meta(self, names: Collection[str]) -> dict[str, Any]:
        """Return what is known of a file's data sets beyond its own ``meta``."""
        return {}

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Translate a checkpoint.

        Args:
            state: Tensors by the names in the file; not changed.

        Returns:
            The same tensors by new names, some of them changed.

        Raises:
            CheckpointError: The names contradict each other.
        """
        plain = plain_names(state)
        renamed = self.rename(list(plain.values()))
        source = {renamed[new]: old for old, new in plain.items() if new in renamed}
        tensors = {new: state[old] for new, old in source.items()}
        notes = self.adapt(tensors)
        used = set(source.values())
        return Converted(
            state=tensors,
            source={new: source.get(new, new) for new in tensors},
            unused=[old for old in state if old not in used],
            meta=self.meta(list(plain.values())),
            notes=notes,
        )
