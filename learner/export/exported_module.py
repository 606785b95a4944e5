"""A module as actors get it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.protocol.arrays import Array
from headrace.protocol.manifest import ModuleManifest


@dataclass(frozen=True)
class ExportedModule:
    """One module as actors get it.

    Attributes:
        parameters: names of the module's parameters and buffers that the graph takes in.
        initial_state: what comes beside them with each version and never changes.
    """

    graph: bytes
    manifest: ModuleManifest
    parameters: tuple[str, ...]
    initial_state: Mapping[str, Array]
