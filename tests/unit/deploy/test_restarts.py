"""When a child that died is started again, and with how many threads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headrace.deploy import cores
from headrace.deploy.cores import thread_settings, usable_cores
from headrace.deploy.restarts import Restarts


def test_pauses_grow_until_restarts_do_not_help() -> None:
    restarts = Restarts()
    assert [restarts.pause_after(3.0) for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 16.0, None]


def test_a_child_that_ran_for_long_is_restarted_soon() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.pause_after(3.0)
    assert restarts.pause_after(61.0) == 1.0
    assert restarts.pause_after(3.0) == 2.0


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1), ("?", 8)]
)
def test_a_containers_quota_limits_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, expected: int
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(cores, "_CGROUP_2", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert usable_cores() == expected


def test_every_numerical_library_is_limited() -> None:
    assert thread_settings(3) == {
        "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
        "OPENBLAS_NUM_THREADS": "3",
    }
