"""Errors of Ray's remote processes as sentences."""

from __future__ import annotations

from ray.exceptions import RayError

from headrace.learner.training.ray_errors import advice_of, cause_of


def test_the_cause_is_the_last_line_of_what_a_remote_process_raised() -> None:
    error = RayError(
        "The actor died because of an error raised in its creation task, ray::Runner.__init__()\n"
        '  File "runner.py", line 3, in __init__\n'
        "ModuleNotFoundError: No module named 'robots'\n"
    )
    assert cause_of(error) == "ModuleNotFoundError: No module named 'robots'"


def test_other_errors_are_their_first_line() -> None:
    assert cause_of(ValueError("lr must be positive\nsee the docs")) == "lr must be positive"


def test_learners_that_cannot_connect_to_one_another_are_explained() -> None:
    error = RayError("ray::Worker()\nRuntimeError: Gloo connectFullMesh failed: Connection refused")
    assert "GLOO_SOCKET_IFNAME" in advice_of(error)
    assert advice_of(ValueError("gloo")) == advice_of(RayError("out of memory")) == ""
