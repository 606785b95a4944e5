"""The public surface: what each package offers at its top exists and is documented."""

from __future__ import annotations

import importlib
import inspect

import pytest

PACKAGES = ["headrace.actors", "headrace.broker", "headrace.learner"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_exists_and_is_documented(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert inspect.getdoc(getattr(module, name)), name


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_that_is_not_there_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        importlib.import_module(package).Nonsense  # noqa: B018


@pytest.mark.parametrize("package", ["headrace.actors", "headrace.learner"])
def test_names_that_load_late_are_the_public_ones(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module._MODULES) == module.__all__
