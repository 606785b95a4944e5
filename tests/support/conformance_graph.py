"""Writes the ONNX graph of the conformance kit's policy."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto, TensorProto, ValueInfoProto, checker, helper

GRAPH = Path(__file__).parents[2] / "deploy" / "conformance" / "policy.onnx"


def make_graph() -> ModelProto:
    def rows(name: str, *shape: int) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])

    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["obs", "w"], ["logits"]),
            helper.make_node("Mul", ["noise", "explore"], ["exploration"]),
            helper.make_node("Add", ["logits", "exploration"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["action"], axis=1, keepdims=0),
            helper.make_node("Identity", ["action"], ["env_action"]),
        ],
        "conformance",
        [
            rows("obs", 4),
            rows("noise", 2),
            helper.make_tensor_value_info("explore", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 2]),
        ],
        [
            helper.make_tensor_value_info("action", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("env_action", TensorProto.INT64, ["n"]),
        ],
    )
    model = helper.make_model(
        graph,
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17)],
        producer_name="headrace",
    )
    checker.check_model(model)
    return model


if __name__ == "__main__":
    GRAPH.write_bytes(make_graph().SerializeToString())
