"""Plays scenes, several at a time: most of each is waiting."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import zmq

from headrace.deploy.conformance.candidate import Candidate
from headrace.deploy.conformance.doors import Doors
from headrace.deploy.conformance.faults import ClientFault
from headrace.deploy.conformance.played_broker import PlayedBroker
from headrace.deploy.conformance.scenes import Scene
from headrace.deploy.conformance.stage import Stage

_PORTS = range(20_000, 29_000, 4)
"""Below those that systems give to outgoing connections."""


@dataclass(frozen=True)
class SceneResult:
    """How a scene ended.

    Attributes:
        fault: None if the client did nothing wrong.
    """

    scene: Scene
    fault: ClientFault | None
    seconds: float


def play_all(
    scenes: Sequence[Scene], command: Sequence[str], *, jobs: int, start_s: float
) -> Iterator[SceneResult]:
    """Yields the results in the order of the scenes, each as soon as it is known.

    Args:
        command: starts the client; `{broker}` in it becomes the played broker's address.
        jobs: scenes at a time.
        start_s: how long a process may take until its first hello.

    Raises:
        OSError: the command cannot be started.
    """
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda scene: play_scene(scene, command, start_s), scenes)


def play_scene(scene: Scene, command: Sequence[str], start_s: float) -> SceneResult:
    """Plays one scene with a process of its own.

    Raises:
        OSError: the command cannot be started.
    """
    began_at_s = time.monotonic()
    fault = None
    with zmq.Context[zmq.Socket[bytes]]() as context:
        doors = Doors(context, random.SystemRandom().choice(_PORTS))
        try:
            with Candidate(command, doors.address) as candidate:
                scene.play(Stage(PlayedBroker(doors), candidate, start_s))
        except ClientFault as found:
            fault = found
        finally:
            doors.close()
    return SceneResult(scene, fault, time.monotonic() - began_at_s)
