"""The invitation with which a peer joins."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import zmq

from headrace.protocol import invitation as invitation_module
from headrace.protocol.errors import ConfigError
from headrace.protocol.invitation import Invitation, may_speak_for
from headrace.protocol.zeromq.invitation_file import load_invitation


@pytest.fixture
def invitation() -> Invitation:
    (server, _), (_, secret) = zmq.curve_keypair(), zmq.curve_keypair()
    return Invitation("tcp://10.0.0.5:5555", "actor", "walker", server.decode(), secret.decode())


def test_a_line_parses_back(invitation: Invitation) -> None:
    assert Invitation.parse(invitation.to_line() + "\n") == invitation
    assert "\n" not in invitation.to_line()


def test_its_repr_contains_no_secret(invitation: Invitation) -> None:
    assert repr(invitation) == "Invitation(actor 'walker' at tcp://10.0.0.5:5555)"


@pytest.mark.parametrize("position", range(0, 250, 7))
def test_a_damaged_line_is_refused_without_repeating_its_contents(
    invitation: Invitation, position: int
) -> None:
    line = invitation.to_line()
    damaged = line[:position] + "\u00e9" + line[position + 1 :]
    with pytest.raises(ConfigError) as raised:
        Invitation.parse(damaged)
    assert invitation.secret_key not in str(raised.value)
    assert raised.value.__cause__ is None


def test_malformed_keys_are_refused() -> None:
    encoded = b'{"address":"a","role":"actor","name":"w","server_key":"x","secret_key":"y"}'
    line = "headrace-invitation-1:" + base64.urlsafe_b64encode(encoded).decode()
    with pytest.raises(ConfigError, match="damaged"):
        Invitation.parse(line)


@pytest.mark.parametrize(
    ("actor", "may"),
    [("walker", True), ("walker.1", True), ("walker1", False), ("walk", False), (".walker", False)],
)
def test_an_invitation_covers_its_name_and_dotted_extensions(actor: str, may: bool) -> None:
    assert may_speak_for("walker", actor) is may


def test_a_file_that_only_its_user_can_read_is_loaded(
    invitation: Invitation, tmp_path: Path
) -> None:
    path = tmp_path / "join"
    path.write_text(invitation.to_line())
    path.chmod(0o600)
    assert load_invitation(path, "actor") == invitation
    with pytest.raises(ConfigError, match="for role actor, not learner"):
        load_invitation(path, "learner")
    for mode in (0o640, 0o604):
        path.chmod(mode)
        with pytest.raises(ConfigError, match="chmod 600"):
            load_invitation(path, "actor")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the invitation"):
        load_invitation(tmp_path / "missing", "actor")


def test_the_former_name_of_load_invitation_warns_and_works() -> None:
    with pytest.warns(DeprecationWarning, match=r"headrace\.actors\.load_invitation"):
        former = getattr(invitation_module, "load_invitation")  # noqa: B009
    assert former is load_invitation


def test_the_module_has_no_other_former_names() -> None:
    with pytest.raises(AttributeError, match="load_key"):
        getattr(invitation_module, "load_key")  # noqa: B009
