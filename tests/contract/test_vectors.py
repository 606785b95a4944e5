"""This code writes and reads exactly the bytes in protocol/vectors, so a wire change shows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from support.vectors import Vector, all_vectors, vector_document

from headrace.protocol.errors import RemoteProtocolError
from headrace.protocol.messages import WIRE_VERSION, Message
from headrace.protocol.messages.headers import (
    control_decoder,
    from_learner_decoder,
    ingest_decoder,
    to_learner_decoder,
    weights_decoder,
)
from headrace.protocol.messages.inference import answer_decoder, request_decoder

VECTORS = Path(__file__).parents[2] / "protocol" / "vectors"
FROZEN = json.loads((Path(__file__).parent / "frozen_vectors.json").read_text())
DECODERS: list[Any] = [
    ingest_decoder(),
    control_decoder(),
    weights_decoder(),
    from_learner_decoder(),
    to_learner_decoder(),
    request_decoder(),
    answer_decoder(),
]


def test_the_vectors_of_version_1_are_frozen() -> None:
    assert WIRE_VERSION == 1
    assert {file.stem: _digest(file) for file in VECTORS.glob("*.json")} == FROZEN


def test_every_kind_of_message_has_a_vector() -> None:
    def leaves(kind: type[Message]) -> list[type[Message]]:
        below = kind.__subclasses__()
        return [kind] if not below else [leaf for sub in below for leaf in leaves(sub)]

    # `Presence` has subclasses and is not a message itself; classes without subclasses are.
    kinds = {str(kind.__struct_config__.tag) for kind in leaves(Message)}
    assert kinds == {name.partition(".")[0] for name in all_vectors()}


@pytest.mark.parametrize(("name", "vector"), all_vectors().items())
def test_our_encoding_matches_the_vector(name: str, vector: Vector) -> None:
    stored = json.loads((VECTORS / f"{name}.json").read_text())
    assert stored == vector_document(vector), "the wire is frozen: see CONTRIBUTING.md"


@pytest.mark.parametrize(("name", "vector"), all_vectors().items())
def test_a_vector_is_decoded_by_its_endpoint(name: str, vector: Vector) -> None:
    stored = json.loads((VECTORS / f"{name}.json").read_text())
    frames = [bytes.fromhex(frame) for frame in stored["frames"]]
    read = [_try(decoder, frames) for decoder in DECODERS]
    assert vector.message in read


def _try(decoder: Any, frames: list[bytes]) -> Message | None:
    try:
        message: Message = decoder.decode(frames)[0]
    except RemoteProtocolError:
        return None
    return message


def test_no_vector_file_is_left_over() -> None:
    assert {path.stem for path in VECTORS.glob("*.json")} == set(all_vectors())


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
