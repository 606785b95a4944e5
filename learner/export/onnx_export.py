"""Encodes a policy graph as ONNX bytes that depend only on the graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import Any

import torch
from torch import Tensor

from headrace.learner.export.graph_module import PolicyGraphModule
from headrace.protocol.errors import ConfigError, first_line
from headrace.protocol.policy_graph import (
    EXPLORE,
)

Arguments = tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]
"""Observations, state, weights and the rest, as `PolicyGraphModule.compute` takes them."""


def to_onnx(graph: PolicyGraphModule, arguments: Arguments) -> tuple[bytes, list[str]]:
    """Returns the ONNX bytes, and the names of the inputs that the outputs depend on.

    These exclude a critic's parameters.

    Raises:
        ConfigError: torch cannot export the module.
    """
    observations, state, weights, others = arguments
    rows = torch.export.Dim("rows", min=1, max=2**20)
    batched = {0: rows}
    shapes: tuple[dict[str, Any], ...] = (
        dict.fromkeys(observations, batched),
        dict.fromkeys(state, batched),
        {name: {} for name in weights},
        {name: {} if name == EXPLORE else batched for name in others},
    )
    with _quiet():
        try:
            traced = torch.export.export(graph, arguments, dynamic_shapes=shapes, strict=False)
            program = torch.onnx.export(
                traced.run_decompositions(_REWRITTEN),
                input_names=[*observations, *state, *weights, *others],
                output_names=graph.output_names,
                dynamic_shapes=shapes,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:  # the exporter raises errors of many kinds
            raise ConfigError(_not_exported(error)) from error
    if program is None:
        raise ConfigError(_not_exported("it returned nothing"))
    inputs = program.model.graph.inputs
    unused = [value for value in inputs if not value.uses()]
    for value in unused:
        inputs.remove(value)
    _forget_origin(program.model.graph)
    frame = bytes(program.model_proto.SerializeToString(deterministic=True))
    return frame, [str(value.name) for value in inputs]


def _reversed_difference(value: Tensor, other: float, alpha: float = 1) -> Tensor:
    """Returns `other - alpha * value`, as modules write it for masks."""
    return value * -alpha + other


_REWRITTEN: dict[Any, Any] = {torch.ops.aten.rsub.Scalar: _reversed_difference}
"""Operations that torch's ONNX exporter fails on (2.13: `1.0 - mask` of an integer mask)."""


def _not_exported(cause: object) -> str:
    return (
        f"torch cannot export the RLModule to a policy graph: {first_line(cause)}; "
        'change the module, or run RLlib itself on the actors: policy = "rllib"'
    )


def _forget_origin(graph: Any) -> None:
    """Removes the exporter's notes on Python files: they vary, and reveal local paths."""
    for entry in (graph, *graph, *graph.inputs, *graph.outputs, *graph.initializers.values()):
        entry.metadata_props.clear()
        entry.doc_string = None
    for node in graph:
        for value in node.outputs:
            value.metadata_props.clear()


@contextlib.contextmanager
def _quiet() -> Any:
    """Keeps the exporter's progress and its warnings about itself off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
