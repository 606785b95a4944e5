"""A broker's folder of keys, what peers may do, and ZeroMQ's questions about them."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq
from click.testing import CliRunner, Result
from zmq.utils import z85

from headrace.broker.access.key_folder import KeyFolder
from headrace.broker.access.permissions import KeyedAccess, OpenAccess, Peer
from headrace.broker.access.zap import answer
from headrace.deploy.cli import headrace
from headrace.protocol.errors import ConfigError
from headrace.protocol.invitation import Invitation
from headrace.protocol.topics import BEACON, delivery_topic, snapshot_topic, weights_topic
from headrace.protocol.zeromq.invitation_file import load_invitation

ADDRESS = "tcp://10.0.0.5:5555"


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    folder = KeyFolder(tmp_path / "keys")
    folder.create()
    return folder


def public_key_of(invitation: Invitation) -> bytes:
    return z85.decode(zmq.curve_public(invitation.secret_key.encode()))


def test_only_the_owner_can_read_what_is_in_it(folder: KeyFolder) -> None:
    folder.invite("actor", "walker", ADDRESS)
    assert folder.path.stat().st_mode & 0o777 == 0o700
    for path in folder.path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path.name


def test_a_folder_is_not_made_twice(folder: KeyFolder) -> None:
    before = folder.server_key()
    with pytest.raises(ConfigError, match="holds keys already"):
        folder.create()
    assert folder.server_key() == before


def test_no_secret_of_a_peer_is_kept(folder: KeyFolder) -> None:
    invitation = folder.invite("actor", "walker", ADDRESS)
    everything = b"".join(path.read_bytes() for path in folder.path.iterdir())
    assert invitation.secret_key.encode() not in everything
    assert folder.server_key().secret_key not in repr(folder.server_key())


@pytest.mark.parametrize("name", ["walker", "walker.left", "walker.left.leg"])
def test_names_that_could_use_the_same_ids_are_not_invited_together(
    folder: KeyFolder, name: str
) -> None:
    folder.invite("actor", "walker.left", ADDRESS)
    with pytest.raises(ConfigError, match="is invited already"):
        folder.invite("learner", name, ADDRESS)
    assert len(folder.peers()) == 1


def test_a_name_is_free_again_once_it_was_revoked(folder: KeyFolder) -> None:
    first = folder.invite("actor", "walker", ADDRESS)
    folder.revoke("walker")
    second = folder.invite("actor", "walker", ADDRESS)
    access = folder.access()
    keys = [z85.encode(public_key_of(i)).decode() for i in (first, second)]
    assert [access.admit(key, "ingest") is not None for key in keys] == [False, True]


def test_revoking_nobody_names_who_there_is(folder: KeyFolder) -> None:
    folder.invite("actor", "walker", ADDRESS)
    with pytest.raises(ConfigError, match="invited: walker"):
        folder.revoke("runner")


def test_what_is_no_folder_of_keys_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="keygen"):
        KeyFolder(tmp_path).server_key()
    (tmp_path / "server.key").write_text("{")
    with pytest.raises(ConfigError, match="damaged") as raised:
        KeyFolder(tmp_path).server_key()
    assert raised.value.__cause__ is None


@pytest.fixture
def access() -> KeyedAccess:
    return KeyedAccess([Peer("A" * 40, "actor", "walker"), Peer("L" * 40, "learner", "trainer")])


@pytest.mark.parametrize("endpoint", ["ingest", "control", "weights", "learner", "", "other"])
def test_a_key_is_admitted_where_its_role_belongs(access: KeyedAccess, endpoint: str) -> None:
    is_actors = endpoint in ("ingest", "control", "weights")
    assert (access.admit("A" * 40, endpoint) is not None) is is_actors
    assert (access.admit("L" * 40, endpoint) is not None) is (endpoint == "learner")
    assert access.admit("U" * 40, endpoint) is None


@pytest.mark.parametrize(
    ("topic", "may"),
    [
        (BEACON, True),
        (weights_topic("any-run"), True),
        (delivery_topic("walker"), True),
        (snapshot_topic("walker.2"), True),
        (delivery_topic("walker2"), False),
        (snapshot_topic("other"), False),
        (b"", False),
        (b"d", False),
        (b"dwalker", False),
        (b"w", False),
        (b"w\0", False),
        (b"\xff\xfe", False),
    ],
)
def test_a_topic_is_an_actors_own_or_everybodys(
    access: KeyedAccess, topic: bytes, may: bool
) -> None:
    assert access.may_subscribe("walker", topic) is may
    assert not access.may_subscribe("trainer", topic)
    assert not access.may_subscribe("stranger", topic)
    assert OpenAccess().may_subscribe("", topic)


def test_only_learners_may_learn_and_only_actors_speak_for_actors(access: KeyedAccess) -> None:
    assert [access.may_learn(name) for name in ("trainer", "walker", "")] == [True, False, False]
    assert access.may_speak_for("walker", "walker.1")
    assert not access.may_speak_for("trainer", "trainer")
    assert not access.may_speak_for("", "walker")


def test_who_lost_access_is_noticed_and_who_gained_it_is_not(access: KeyedAccess) -> None:
    more = KeyedAccess([*access.peers, Peer("N" * 40, "actor", "new")])
    assert not more.has_lost(access)
    assert access.has_lost(more)


def request(key: bytes, *, domain: bytes = b"ingest", mechanism: bytes = b"CURVE") -> list[bytes]:
    return [b"1.0", b"42", domain, b"10.0.0.9", b"", mechanism, key]


def nobody(name: str) -> bool:
    return False


def test_zap_answers_with_the_name_of_an_invited_key(folder: KeyFolder) -> None:
    key = public_key_of(folder.invite("actor", "walker", ADDRESS))
    assert answer(request(key), folder.access(), nobody)[:5] == [
        b"1.0",
        b"42",
        b"200",
        b"OK",
        b"walker",
    ]


def test_zap_puts_off_who_is_in_quarantine(folder: KeyFolder) -> None:
    key = public_key_of(folder.invite("actor", "walker", ADDRESS))
    assert answer(request(key), folder.access(), {"walker"}.__contains__)[2] == b"300"
    assert answer(request(key), folder.access(), {"other"}.__contains__)[2] == b"200"


@pytest.mark.parametrize(
    "changed",
    [
        {"domain": b"learner"},
        {"domain": b"\xff"},
        {"mechanism": b"NULL"},
        {"mechanism": b"PLAIN"},
    ],
)
def test_zap_refuses_the_wrong_endpoint_and_other_mechanisms(
    folder: KeyFolder, changed: dict[str, bytes]
) -> None:
    key = public_key_of(folder.invite("actor", "walker", ADDRESS))
    assert answer(request(key, **changed), folder.access(), nobody)[2] == b"400"


@pytest.mark.parametrize("key", [b"", b"x" * 31, b"x" * 32, b"x" * 33])
def test_zap_refuses_keys_that_nobody_invited(folder: KeyFolder, key: bytes) -> None:
    assert answer(request(key), folder.access(), nobody)[2] == b"400"


@pytest.mark.parametrize("frames", [[], [b"1.0"], [b"2.0", b"1", b"", b"", b"", b"CURVE", b""]])
def test_zap_answers_nonsense_with_an_error(folder: KeyFolder, frames: list[bytes]) -> None:
    assert answer(frames, folder.access(), nobody)[2] == b"500"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(headrace, arguments)


def test_the_commands_make_keys_invite_and_revoke(tmp_path: Path) -> None:
    keys, output = str(tmp_path / "keys"), tmp_path / "walker.join"
    made = run("keygen", keys)
    assert made.exit_code == 0
    assert KeyFolder(Path(keys)).server_key().secret_key not in made.output
    invite = ("invite", "actor", "walker", "--address", ADDRESS, "--keys", keys)
    assert run(*invite, "-o", str(output)).exit_code == 0
    assert load_invitation(output, "actor").address == ADDRESS
    assert "is invited already" in str(run(*invite).exception)
    assert "cannot make" in str(run(*invite, "-o", str(output)).exception)
    assert run("revoke", "walker", "--keys", keys).exit_code == 0
    printed = run(*invite).output
    assert Invitation.parse(printed).name == "walker"
    second = tmp_path / "second.join"
    run(*invite, "-o", str(second))
    assert not second.exists(), "an invitation that was refused leaves no file"
