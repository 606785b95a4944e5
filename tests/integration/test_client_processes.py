"""Who uses a client: one agent after the other, no forked child, whom an invitation names."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.machine import scaled
from support.running import (
    BrokerThread,
    Context,
    Learner,
    connect,
    first_policy,
    push,
    wait_until,
)

from headrace.actors.agents.agent import Agent
from headrace.actors.agents.episode_agent import EpisodeAgent
from headrace.actors.agents.vector_agent import VectorAgent
from headrace.actors.connection.client import Client
from headrace.actors.inference.policy_client import PolicyClient
from headrace.broker.access.key_folder import KeyFolder

IN_A_CHILD = """
import os
from headrace.actors import Agent, Client, PolicyClient

client = Client("tcp://127.0.0.1:{port}")
thin = PolicyClient("tcp://127.0.0.1:{port}")
child = os.fork()
if not child:
    try:
        {wait}
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
thin.close()
client.close()
"""


@pytest.mark.parametrize(
    "wait",
    [
        "client.begin()",
        "client.policy_update()",
        "Agent(client).act([0.0])",
        "thin.wait_for_policy(60.0)",
        "thin.get_action(thin.start_episode(), [0.0])",
    ],
)
def test_a_client_does_not_wait_in_a_forked_child(
    broker: BrokerThread, tmp_path: Path, wait: str
) -> None:
    script = tmp_path / "fork.py"
    port = str(broker.service.address).partition(",")[0].rpartition(":")[2]
    script.write_text(IN_A_CHILD.format(port=port, wait=wait))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=scaled(30)
    )
    assert done.stdout.startswith("this client belongs to the parent process"), done.stderr


@pytest.mark.parametrize(
    "make", [Agent, lambda client: VectorAgent(client, 2), lambda client: EpisodeAgent(client)]
)
def test_a_client_serves_the_next_agent_once_the_former_is_gone(
    broker: BrokerThread, context: Context, make: Callable[[Client], object]
) -> None:
    gc.disable()  # the former goes at once, and not when cycles are looked for
    try:
        with connect(broker, context, "a") as client:
            for _ in range(3):
                agent = make(client)
                del agent
    finally:
        gc.enable()


def joined(broker: BrokerThread) -> bool:
    return any(one.actor.startswith("walker.") for one in broker.status.actors)


@pytest.mark.parametrize("make_path", [str, Path])
def test_clients_join_with_the_path_of_an_invitation(
    context: Context,
    tmp_path: Path,
    start_broker: Callable[..., BrokerThread],
    make_path: Callable[[Path], str | Path],
) -> None:
    folder = KeyFolder(tmp_path / "keys")
    folder.create()
    anywhere = "tcp://127.0.0.1:0"
    trainer = folder.invite("learner", "trainer", anywhere)
    broker = start_broker(keys=folder)
    invited = tmp_path / "walker.key"
    invited.touch(0o600)
    invited.write_text(folder.invite("actor", "walker", broker.address).to_line())
    with Learner(context, broker.address, invitation=trainer) as learner:
        learner.publish(1)
        with Client(join=make_path(invited), context=context) as client:
            push(client, first_policy(client))
            assert len(learner.take(5)) == 1
            assert joined(broker)
        wait_until(lambda: not joined(broker))
        thin = PolicyClient(join=make_path(invited))
        wait_until(lambda: joined(broker))
        thin.close()
