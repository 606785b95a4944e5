"""Files that are no invitations, with their names."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq

from headrace.protocol.errors import ConfigError
from headrace.protocol.invitation import Invitation
from headrace.protocol.zeromq.invitation_file import load_invitation


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "walker.join"
    path.touch(0o600)
    return path


@pytest.mark.parametrize("text", ["", "nonsense", "headrace-invitation-1:xyz"])
def test_what_is_no_invitation_is_named(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"walker.join: this (is not an|invitation is damaged)"):
        load_invitation(file, "actor")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the invitation .*: it is not a file"):
        load_invitation(tmp_path, "actor")


def test_an_editors_byte_order_mark_is_skipped(file: Path) -> None:
    public, secret = zmq.curve_keypair()
    invitation = Invitation("tcp://h:5555", "actor", "walker", public.decode(), secret.decode())
    file.write_text(f"\ufeff{invitation.to_line()}\n", encoding="utf-8")
    assert load_invitation(file, "actor") == invitation
