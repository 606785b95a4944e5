from __future__ import annotations

import msgspec
from support.examples import make_image_module, make_manifest

from headrace.protocol.batch_sizes import BATCH_BYTES, env_step_bytes, most_env_steps

IMAGE_BYTES = 1080 * 1920 * 3 + 16


def test_an_env_step_has_a_row_in_each_column() -> None:
    assert env_step_bytes(make_manifest()) == 4 * 4 + 8 + 4 + 4
    assert env_step_bytes(make_manifest(module=make_image_module())) == IMAGE_BYTES


def test_each_agent_of_an_env_step_has_a_row() -> None:
    agents = {"left": "default_policy", "right": "default_policy"}
    manifest = msgspec.structs.replace(make_manifest(), agents=agents)
    assert env_step_bytes(manifest) == 2 * env_step_bytes(make_manifest())


def test_large_observations_make_short_batches() -> None:
    manifest = make_manifest(module=make_image_module())
    assert most_env_steps(manifest) == BATCH_BYTES // IMAGE_BYTES == 5
    assert most_env_steps(manifest, max_payload_bytes=2 * IMAGE_BYTES) == 1
    assert most_env_steps(make_manifest()) > 1_000_000


def test_a_batch_has_at_least_one_env_step() -> None:
    manifest = make_manifest(module=make_image_module())
    assert most_env_steps(manifest, max_payload_bytes=1000) == 1
