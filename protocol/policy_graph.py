"""Names of a policy graph's inputs and outputs: the contract between exporter and actors.

Inputs: `obs` or `obs/<path>` (rows of observations as the simulator returns them), `state/<path>`
(the previous step's `state_out/<path>`), `reward` (of the previous step), `noise` (uniform in
(0, 1), as many columns as the manifest says), scalars of shape [1] such as `explore`, and the
weights by name. Outputs: `env_action` (for the simulator), those to record, and `state_out/<path>`.
"""

from __future__ import annotations

NOISE = "noise"
EXPLORE = "explore"
EPSILON = "epsilon"
"""The probability of a random action; among the weights, since it changes with each version."""
REWARD = "reward"
STATE = "state"
STATE_OUT = "state_out"
CONNECTOR_STATE = f"{STATE}/connectors"
"""Inputs for the state of observation connectors, such as the last action."""
INITIAL_STATE = "initial_state"
"""Among the weights: the initial value of `state/<path>`, if it is not zero."""

ENV_STEPS = "num_env_steps_sampled_lifetime"
"""Among the weights of a policy that only RLlib can run: the step that drives its schedules."""

ACTION = "action"
ENV_ACTION = "env_action"
ACTION_LOGP = "action_logp"
ACTION_DIST_INPUTS = "action_dist_inputs"
RECORDED_OBSERVATION = "obs_out"


def initial_state(name: str) -> str:
    """Returns the weight with the initial value of the input `name` (`state/…`), if any."""
    return INITIAL_STATE + name.removeprefix(STATE)


def state_output(name: str) -> str:
    """Returns the output that feeds the input `name` (`state/…`) at the next step."""
    return STATE_OUT + name.removeprefix(STATE)


def is_parameter(name: str) -> bool:
    """Returns whether a tensor of a version is a parameter of the module, under its own name."""
    return "/" not in name and name not in (EPSILON, ENV_STEPS)
