"""Names of a policy graph's inputs and outputs: the contract between exporter and actors.

Inputs: `obs` or `obs/<path>` (rows of observations as the simulator gives them), `state/<path>`
(what the step before gave as `state_out/<path>`), `reward` (what the last step gave), `noise`
(uniform in (0, 1), as many columns as the manifest says), scalars of shape [1] such as `explore`,
and the weights by name. Outputs: `env_action` (for the simulator), what is to be recorded, and
`state_out/<path>`.
"""

from __future__ import annotations

NOISE = "noise"
EXPLORE = "explore"
EPSILON = "epsilon"
"""Among the weights, since it changes with each version: how often an action is drawn at random."""
REWARD = "reward"
STATE = "state"
STATE_OUT = "state_out"
CONNECTOR_STATE = f"{STATE}/connectors"
"""Inputs with what observation connectors remember, such as the last action."""
INITIAL_STATE = "initial_state"
"""Among the weights: what `state/<path>` begins with, where that is not zero."""

ENV_STEPS = "num_env_steps_sampled_lifetime"
"""Among the weights of a policy that only RLlib can run: what its schedules go by."""

ACTION = "action"
ENV_ACTION = "env_action"
ACTION_LOGP = "action_logp"
ACTION_DIST_INPUTS = "action_dist_inputs"
RECORDED_OBSERVATION = "obs_out"


def initial_state(name: str) -> str:
    """Returns the weight that the input `name` (`state/…`) begins an episode with, if any."""
    return INITIAL_STATE + name.removeprefix(STATE)


def state_output(name: str) -> str:
    """Returns the output that gives what the input `name` (`state/…`) takes at the next step."""
    return STATE_OUT + name.removeprefix(STATE)


def is_parameter(name: str) -> bool:
    """Returns whether one of a version's tensors is the module's own, under its own name."""
    return "/" not in name and name not in (EPSILON, ENV_STEPS)
