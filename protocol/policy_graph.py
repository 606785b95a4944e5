"""Names of a policy graph's inputs and outputs: the contract between exporter and actors.

Inputs: `obs` or `obs/<path>` (rows of observations as the simulator gives them), `noise` (uniform
in (0, 1), as many columns as the manifest says), scalars of shape [1] such as `explore`, and the
weights by name. Outputs: `env_action` (for the simulator) and what is to be recorded.
"""

from __future__ import annotations

NOISE = "noise"
EXPLORE = "explore"

ACTION = "action"
ENV_ACTION = "env_action"
ACTION_LOGP = "action_logp"
ACTION_DIST_INPUTS = "action_dist_inputs"
RECORDED_OBSERVATION = "obs_out"
