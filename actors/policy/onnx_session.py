"""Runs a policy graph in ONNX Runtime, with weights fed at each call or baked into the session."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
import onnxruntime

from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError, RejectCode, RemoteProtocolError
from headrace.protocol.manifest import PolicyGraph

_CONVOLUTION_DIMENSIONS = 4


class GraphSession(abc.ABC):
    """Runs one graph; call `set_weights` before the first `run`.

    Attributes:
        inputs: names of the graph's inputs, weights included.
    """

    inputs: frozenset[str]

    @abc.abstractmethod
    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Uses these tensors from now on; ignores names that are not inputs."""

    @abc.abstractmethod
    def run(self, outputs: list[str], feed: Mapping[str, Array]) -> list[Array]:
        """Returns the named outputs; ignores fed names that are not inputs."""


class FedSession(GraphSession):
    """Feeds the weights at each call, so that a new version costs nothing.

    For small networks this is as fast as baking.
    """

    def __init__(self, graph: bytes) -> None:
        self._session = _load(graph, _options())
        self.inputs = frozenset(entry.name for entry in self._session.get_inputs())
        self._weights: dict[str, Array] = {}

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        self._weights = {name: weights[name] for name in self.inputs & weights.keys()}

    def run(self, outputs: list[str], feed: Mapping[str, Array]) -> list[Array]:
        fed = {name: value for name, value in feed.items() if name in self.inputs}
        return cast("list[Array]", self._session.run(outputs, {**self._weights, **fed}))


class BakedSession(GraphSession):
    """Bakes each version of the weights into a session, where ONNX Runtime can lay them out.

    A new version costs 1 to 20 ms; with convolutions, every call is up to twice as fast.
    """

    def __init__(self, graph: bytes, weights: Iterable[str]) -> None:
        probe = _load(graph, _options())
        self.inputs = frozenset(entry.name for entry in probe.get_inputs())
        self._baked = self.inputs & set(weights)
        self._model = _with_external_weights(graph, self._baked)
        self._session: Any = None
        self._values: dict[str, Any] = {}

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        # ONNX Runtime does not copy them: they must live as long as the session.
        self._values = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(weights[name]))
            for name in self._baked
        }
        options = _options()
        options.add_external_initializers(list(self._values), list(self._values.values()))
        self._session = _load(self._model, options)

    def run(self, outputs: list[str], feed: Mapping[str, Array]) -> list[Array]:
        taken = self.inputs - self._baked
        fed = {name: value for name, value in feed.items() if name in taken}
        return cast("list[Array]", self._session.run(outputs, fed))


def open_session(graph: bytes, spec: PolicyGraph, *, bakes: bool | None = None) -> GraphSession:
    """Returns a session for a graph.

    Args:
        bakes: whether to bake the weights in; None does so for networks with convolutions.

    Raises:
        RemoteProtocolError: ONNX Runtime cannot load the graph.
        ConfigError: baking was chosen, and the package onnx is not installed.
    """
    if bakes is None:
        bakes = any(len(weight.shape) == _CONVOLUTION_DIMENSIONS for weight in spec.weights)
    return BakedSession(graph, [w.name for w in spec.weights]) if bakes else FedSession(graph)


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _load(graph: bytes, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise RemoteProtocolError(
            RejectCode.INVALID_POLICY, f"ONNX Runtime cannot load the policy graph: {error}"
        ) from error


def _with_external_weights(graph: bytes, names: frozenset[str]) -> bytes:
    """Returns a graph whose named inputs are constants supplied by the session options."""
    try:
        import onnx
    except ImportError as error:
        raise ConfigError(
            "baking weights into the policy graph needs the package onnx: "
            "pip install 'headrace[actor]'"
        ) from error
    model = onnx.load_from_string(graph)
    inputs = list(model.graph.input)
    del model.graph.input[:]
    for entry in inputs:
        if entry.name not in names:
            model.graph.input.append(entry)
            continue
        tensor = entry.type.tensor_type
        constant = model.graph.initializer.add(
            name=entry.name,
            data_type=tensor.elem_type,
            dims=[size.dim_value for size in tensor.shape.dim],
            data_location=onnx.TensorProto.EXTERNAL,
        )
        constant.external_data.add(key="location", value="weights")
    frame: bytes = model.SerializeToString()
    return frame
