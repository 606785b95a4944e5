"""Generated pages and pictures are those of the code."""

from __future__ import annotations

import pytest

from docs.pictures.__main__ import FOLDER as PICTURES_FOLDER
from docs.pictures.__main__ import PICTURES
from docs.reference import FOLDER, references

pytestmark = pytest.mark.rllib


def test_the_references_are_current() -> None:
    written = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert written == references(), "make docs writes them"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_current(name: str) -> None:
    assert (PICTURES_FOLDER / name).read_text() == PICTURES[name](), "make pictures draws them"
