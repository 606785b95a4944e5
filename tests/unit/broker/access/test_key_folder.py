"""A broker's key folder, the permissions of peers, and the replies to ZAP requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zmq
from click.testing import CliRunner, Result
from zmq.utils import z85

from headrace.broker.access.key_folder import KeyFolder
from headrace.broker.access.permissions import AllPermissions, KeyPermissions, Peer
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


def test_only_the_owner_can_read_the_folder(folder: KeyFolder) -> None:
    folder.invite("actor", "walker", ADDRESS)
    assert folder.path.stat().st_mode & 0o777 == 0o700
    for path in folder.path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path.name


def test_an_existing_folder_is_not_overwritten(folder: KeyFolder) -> None:
    before = folder.server_key()
    with pytest.raises(ConfigError, match="already holds keys"):
        folder.create()
    assert folder.server_key() == before


def test_secret_keys_of_peers_are_not_kept(folder: KeyFolder) -> None:
    invitation = folder.invite("actor", "walker", ADDRESS)
    everything = b"".join(path.read_bytes() for path in folder.path.iterdir())
    assert invitation.secret_key.encode() not in everything
    assert folder.server_key().secret_key not in repr(folder.server_key())


@pytest.mark.parametrize("name", ["walker", "walker.left", "walker.left.leg"])
def test_names_with_overlapping_actor_ids_cannot_both_be_invited(
    folder: KeyFolder, name: str
) -> None:
    folder.invite("actor", "walker.left", ADDRESS)
    with pytest.raises(ConfigError, match="is already invited"):
        folder.invite("learner", name, ADDRESS)
    assert len(folder.peers()) == 1


def test_a_revoked_name_can_be_invited_again(folder: KeyFolder) -> None:
    first = folder.invite("actor", "walker", ADDRESS)
    folder.revoke("walker")
    second = folder.invite("actor", "walker", ADDRESS)
    access = folder.permissions()
    keys = [z85.encode(public_key_of(i)).decode() for i in (first, second)]
    assert [access.peer_of(key, "ingest") is not None for key in keys] == [False, True]


def test_what_cannot_be_written_leaves_the_invitations_as_they_are(
    folder: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.invite("actor", "walker", ADDRESS)
    kept = {path.name: path.read_bytes() for path in folder.path.iterdir()}

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full_disk:
        full_disk.setattr("os.fsync", fail)
        with pytest.raises(ConfigError, match="No space left on device"):
            folder.invite("actor", "runner", ADDRESS)
    assert {name: (folder.path / name).read_bytes() for name in kept} == kept
    folder.revoke("walker")


def test_revoking_an_unknown_name_lists_the_invited_peers(folder: KeyFolder) -> None:
    folder.invite("actor", "walker", ADDRESS)
    with pytest.raises(ConfigError, match="invited peers: walker"):
        folder.revoke("runner")


def test_an_unusable_key_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="keygen"):
        KeyFolder(tmp_path).server_key()
    (tmp_path / "server.key").write_text("{")
    with pytest.raises(ConfigError, match="damaged") as raised:
        KeyFolder(tmp_path).server_key()
    assert raised.value.__cause__ is None


@pytest.fixture
def access() -> KeyPermissions:
    return KeyPermissions([Peer("A" * 40, "actor", "walker"), Peer("L" * 40, "learner", "trainer")])


@pytest.mark.parametrize("endpoint", ["ingest", "control", "weights", "learner", "", "other"])
def test_a_key_is_admitted_only_at_its_roles_endpoints(
    access: KeyPermissions, endpoint: str
) -> None:
    is_actors = endpoint in ("ingest", "control", "weights")
    assert (access.peer_of("A" * 40, endpoint) is not None) is is_actors
    assert (access.peer_of("L" * 40, endpoint) is not None) is (endpoint == "learner")
    assert access.peer_of("U" * 40, endpoint) is None


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
def test_an_actor_may_subscribe_only_to_its_own_and_shared_topics(
    access: KeyPermissions, topic: bytes, may: bool
) -> None:
    assert access.may_subscribe("walker", topic) is may
    assert not access.may_subscribe("trainer", topic)
    assert not access.may_subscribe("stranger", topic)
    assert AllPermissions().may_subscribe("", topic)


def test_only_learners_may_learn_and_only_actors_speak_for_actors(access: KeyPermissions) -> None:
    assert [access.may_learn(name) for name in ("trainer", "walker", "")] == [True, False, False]
    assert access.may_speak_for("walker", "walker.1")
    assert not access.may_speak_for("trainer", "trainer")
    assert not access.may_speak_for("", "walker")


def test_lost_access_is_detected_and_gained_access_is_not(access: KeyPermissions) -> None:
    more = KeyPermissions([*access.peers, Peer("N" * 40, "actor", "new")])
    assert not more.has_lost(access)
    assert access.has_lost(more)


def request(key: bytes, *, domain: bytes = b"ingest", mechanism: bytes = b"CURVE") -> list[bytes]:
    return [b"1.0", b"42", domain, b"10.0.0.9", b"", mechanism, key]


def nobody(name: str) -> bool:
    return False


def ignore(*_: str) -> None:
    """Takes the report of a refusal."""


def answered(
    frames: list[bytes],
    folder: KeyFolder,
    is_quarantined: Callable[[str], bool] = nobody,
    report: Callable[[str, str, str], None] = ignore,
) -> list[bytes]:
    return answer(frames, folder.permissions(), is_quarantined, report)


def test_zap_answers_with_the_name_of_an_invited_key(folder: KeyFolder) -> None:
    key = public_key_of(folder.invite("actor", "walker", ADDRESS))
    assert answered(request(key), folder)[:5] == [
        b"1.0",
        b"42",
        b"200",
        b"OK",
        b"walker",
    ]


def test_zap_gives_a_quarantined_peer_a_temporary_error(folder: KeyFolder) -> None:
    key = public_key_of(folder.invite("actor", "walker", ADDRESS))
    assert answered(request(key), folder, {"walker"}.__contains__)[2] == b"300"
    assert answered(request(key), folder, {"other"}.__contains__)[2] == b"200"


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
    assert answered(request(key, **changed), folder)[2] == b"400"


def test_zap_reports_which_key_it_refuses_where(folder: KeyFolder) -> None:
    key = public_key_of(folder.invite("actor", "walker", ADDRESS))
    reports: list[tuple[str, ...]] = []
    answered(request(key, domain=b"learner"), folder, report=lambda *of: reports.append(of))
    answered(request(key), folder, report=lambda *of: reports.append(of))
    assert reports == [(z85.encode(key).decode(), "learner", "10.0.0.9")]


@pytest.mark.parametrize("key", [b"", b"x" * 31, b"x" * 32, b"x" * 33])
def test_zap_refuses_keys_without_an_invitation(folder: KeyFolder, key: bytes) -> None:
    assert answered(request(key), folder)[2] == b"400"


@pytest.mark.parametrize("frames", [[], [b"1.0"], [b"2.0", b"1", b"", b"", b"", b"CURVE", b""]])
def test_zap_answers_malformed_requests_with_an_error(
    folder: KeyFolder, frames: list[bytes]
) -> None:
    assert answered(frames, folder)[2] == b"500"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(headrace, arguments)


def test_the_commands_create_keys_invite_and_revoke(tmp_path: Path) -> None:
    keys, output = str(tmp_path / "keys"), tmp_path / "walker.join"
    made = run("keygen", keys)
    assert made.exit_code == 0
    assert KeyFolder(Path(keys)).server_key().secret_key not in made.output
    invite = ("invite", "actor", "walker", "--address", ADDRESS, "--keys", keys)
    assert run(*invite, "-o", str(output)).exit_code == 0
    assert load_invitation(output, "actor").address == ADDRESS
    assert "is already invited" in str(run(*invite).exception)
    assert "cannot create" in str(run(*invite, "-o", str(output)).exception)
    assert run("revoke", "walker", "--keys", keys).exit_code == 0
    printed = run(*invite).output
    assert Invitation.parse(printed).name == "walker"
    second = tmp_path / "second.join"
    run(*invite, "-o", str(second))
    assert not second.exists(), "a refused invitation leaves no file"


@pytest.mark.parametrize("name", ["left leg", "", "walker\n", "läufer", "x" * 129, "a\tb"])
def test_a_name_that_is_none_is_refused_before_anything_is_written(
    folder: KeyFolder, name: str
) -> None:
    before = (folder.path / "peers.json").read_bytes()
    with pytest.raises(ConfigError, match="is not a peer's name: use 1 to 128 printable ASCII"):
        folder.invite("actor", name, ADDRESS)
    assert (folder.path / "peers.json").read_bytes() == before


def test_a_damaged_entry_does_not_lock_the_folder(
    folder: KeyFolder, caplog: pytest.LogCaptureFixture
) -> None:
    walker = folder.invite("actor", "walker", ADDRESS)
    peers = msgspec.json.decode((folder.path / "peers.json").read_bytes())
    damaged = {"public_key": "x", "role": "actor", "name": "left leg"}
    (folder.path / "peers.json").write_bytes(msgspec.json.encode([damaged, 7, *peers]))
    assert [peer.name for peer in folder.peers()] == ["walker"]
    assert "entry 1 is damaged and admits nobody" in caplog.text
    assert [peer.name for peer in folder.permissions().peers] == [walker.name]
    folder.invite("actor", "runner", ADDRESS)
    folder.revoke("left leg")
    folder.revoke("walker")
    left = msgspec.json.decode((folder.path / "peers.json").read_bytes())
    assert [entry if entry == 7 else entry["name"] for entry in left] == ["runner", 7]
