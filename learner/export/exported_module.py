"""A module in the form that actors receive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.protocol.arrays import Array
from headrace.protocol.manifest import ModuleManifest


@dataclass(frozen=True)
class ExportedModule:
    """One module in the form that actors receive.

    Attributes:
        parameters: names of the module's parameters and buffers that are inputs of the graph.
        initial_state: sent with them in each version, and always the same.
    """

    graph: bytes
    manifest: ModuleManifest
    parameters: tuple[str, ...]
    initial_state: Mapping[str, Array]
