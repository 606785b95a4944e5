"""Several learners of one Ray Tune run."""

from __future__ import annotations

from headrace.protocol.errors import RefusedError, RejectCode


def refusal_of_trial(error: RefusedError) -> RefusedError:
    """Returns a refusal with what to do if a sibling trains on the same broker."""
    if error.code is not RejectCode.LEARNER_EXISTS:
        return error
    return RefusedError(
        error.code,
        "another learner trains on this trial's broker, and a broker serves one at a time: set "
        "tune.TuneConfig(max_concurrent_trials=1), or give each trial a broker of its own, by the "
        'address in env_config["headrace"]',
    )
