from __future__ import annotations

import pickle

import msgspec
import pytest

from headrace.protocol.errors import HeadraceError, RefusedError, RejectCode, RemoteProtocolError


@pytest.mark.parametrize("kind", [RefusedError, RemoteProtocolError])
def test_errors_with_a_code_survive_the_way_between_ray_processes(
    kind: type[RefusedError | RemoteProtocolError],
) -> None:
    error = pickle.loads(pickle.dumps(kind(RejectCode.SUPERSEDED, "why")))  # noqa: S301
    assert (type(error), error.code, error.reason) == (kind, RejectCode.SUPERSEDED, "why")


def test_the_sentence_holds_code_and_reason() -> None:
    assert str(RemoteProtocolError(RejectCode.MALFORMED, "no map")) == "malformed: no map"
    assert "learner_exists" in str(RefusedError(RejectCode.LEARNER_EXISTS, "stop it"))


def test_every_error_is_a_headrace_error() -> None:
    assert issubclass(RefusedError, HeadraceError)
    assert issubclass(RemoteProtocolError, HeadraceError)


def test_a_code_of_a_later_release_is_read_as_another_one() -> None:
    assert msgspec.json.decode(b'"struck_by_lightning"', type=RejectCode) is RejectCode.OTHER
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b"7", type=RejectCode)
