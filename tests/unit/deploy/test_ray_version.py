from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from headrace.deploy import ray_version
from headrace.protocol.errors import ConfigError

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def pretend(monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    monkeypatch.setattr(ray_version, "version", lambda _: installed)


@pytest.mark.parametrize("installed", ["2.56.0", "2.57.1", "2.60.0", "2.60.1rc1"])
def test_tested_releases_are_accepted(monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    pretend(monkeypatch, installed)
    ray_version.require_supported_ray()


@pytest.mark.parametrize("installed", ["2.55.1", "2.61.0", "3.0.0", "nightly"])
def test_other_releases_are_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, installed: str
) -> None:
    pretend(monkeypatch, installed)
    with pytest.raises(ConfigError, match=r"Ray 2\.56 to 2\.60.*pip install 'ray\[rllib\]>=2\.56"):
        ray_version.require_supported_ray()


def test_a_missing_ray_is_an_error_that_names_the_requirement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def is_missing(_: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(ray_version, "version", is_missing)
    with pytest.raises(ConfigError, match=r"not installed: pip install 'headrace\[learner\]'"):
        ray_version.require_supported_ray()


def test_the_package_requires_the_same_releases() -> None:
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    [ray] = [r for r in map(Requirement, extras["learner"]) if r.name == "ray"]
    (major, oldest), (_, newest) = ray_version.OLDEST, ray_version.NEWEST
    assert str(ray.specifier) == f"<{major}.{newest + 1},>={major}.{oldest}"
