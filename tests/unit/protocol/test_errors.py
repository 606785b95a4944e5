from __future__ import annotations

import ast
import builtins
import pickle

import msgspec
import pytest
from support.imports import PACKAGES, sources

from headrace.protocol.errors import RefusedError, RejectCode, RemoteProtocolError


@pytest.mark.parametrize("kind", [RefusedError, RemoteProtocolError])
def test_errors_with_a_code_survive_pickling_between_ray_processes(
    kind: type[RefusedError | RemoteProtocolError],
) -> None:
    error = pickle.loads(pickle.dumps(kind(RejectCode.SUPERSEDED, "why")))  # noqa: S301
    assert (type(error), error.code, error.reason) == (kind, RejectCode.SUPERSEDED, "why")


def test_the_message_contains_code_and_reason() -> None:
    assert str(RemoteProtocolError(RejectCode.MALFORMED, "no map")) == "malformed: no map"
    assert "learner_exists" in str(RefusedError(RejectCode.LEARNER_EXISTS, "stop it"))


ENDS_NO_CALL = {
    "JournalFullError": "the writer handles it like a full disk",
    "EpisodesBroken": "between an environment and its collector",
    "Violation": "ends a case of the conformance kit",
    "GraceOver": "ends the main thread of an actor that stops",
}
"""Exceptions that no caller of headrace sees."""


def test_every_error_that_a_caller_sees_is_a_headrace_error() -> None:
    bases = {
        node.name: [ast.unparse(base) for base in node.bases]
        for path in sources(*PACKAGES)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }

    def is_exception(name: str) -> bool:
        built_in = getattr(builtins, name, None)
        if isinstance(built_in, type):
            return issubclass(built_in, BaseException)
        return any(map(is_exception, bases.get(name, [])))

    def ours(name: str) -> bool:
        return name == "HeadraceError" or any(map(ours, bases.get(name, [])))

    errors = {name for name in bases if is_exception(name)}
    assert errors >= {"ConfigError", "RefusedError", "RemoteProtocolError", "LearnerStopping"}
    assert {name for name in errors if not ours(name)} == ENDS_NO_CALL.keys()


def test_a_code_of_a_later_release_is_read_as_other() -> None:
    assert msgspec.json.decode(b'"struck_by_lightning"', type=RejectCode) is RejectCode.OTHER
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b"7", type=RejectCode)
