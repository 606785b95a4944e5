"""Everything here needs Ray and torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.rllib)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    ray.init(include_dashboard=False, log_to_driver=False, num_cpus=2)
    yield
    ray.shutdown()
