"""Cart-poles that move 50 times a second, with or without a policy, a learner and a broker.

headrace up examples/real_time/run.toml
python -m examples.real_time.rig     # --help shows how to use another broker
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import statistics
import threading
from collections import deque
from pathlib import Path

from examples.real_time.lateness import PERIOD_S, Tick, summary, write_ticks
from examples.real_time.plant import Plant, wait_for_policy
from examples.real_time.ticker import Ticker, claim_processor
from headrace.actors import PolicyClient
from headrace.deploy.process import on_stop_signal
from headrace.deploy.status_view import BrokerUnreachableError, fetch_status
from headrace.protocol.errors import LocalProtocolError

ACTOR = "rig"
_PLANTS = 16
_REPORT_S = 5.0
_KEPT_TICKS, _KEPT_TRIES = 15_000, 50


class Rig:
    """Several plants on one clock, and one client that acts for all of them.

    Attributes:
        ticks: the newest ones; a tick's lateness ends when all motors are set.
        returned: the returns of the newest tries.
    """

    def __init__(self, client: PolicyClient, plants: int = _PLANTS) -> None:
        self._client = client
        self._plants = [Plant(seed) for seed in range(plants)]
        self._has_policy = threading.Event()
        self._ticker = Ticker(PERIOD_S)
        self.ticks: deque[Tick] = deque(maxlen=_KEPT_TICKS)
        self.returned: deque[float] = deque(maxlen=_KEPT_TRIES)

    def run(self, stop: threading.Event) -> None:
        """Ticks until `stop` is set."""
        # The only calls that wait for a learner are made in another thread, and only once.
        threading.Thread(target=self._wait_for_policy, daemon=True).start()
        gc.freeze()  # objects loaded so far need not be scanned again during a tick
        self._ticker = Ticker(PERIOD_S)
        while not stop.is_set():
            self._ticker.wait()
            self._tick()
            self.ticks.append(Tick(self._ticker.deadline_s, self._ticker.late_s))

    @property
    def skipped(self) -> int:
        """Number of ticks that never took place."""
        return self._ticker.skipped

    def _tick(self) -> None:
        for plant in self._plants:
            returned = plant.move(self._client)
            if returned is not None:
                self.returned.append(returned)
        if self._has_policy.is_set():
            self._obey_policy()
        else:
            for plant in self._plants:
                plant.chase()

    def _obey_policy(self) -> None:
        by_episode: dict[str, Plant] = {}
        for plant in self._plants:
            if plant.episode is None:
                plant.episode = self._client.start_episode()
            by_episode[plant.episode] = plant
        seen = {episode: plant.observation for episode, plant in by_episode.items()}
        for episode, push in self._client.get_action(list(seen), seen).items():
            by_episode[episode].obey(push)

    def _wait_for_policy(self) -> None:
        with contextlib.suppress(LocalProtocolError):  # the rig was stopped first
            wait_for_policy(self._client)
            self._has_policy.set()


def report(rig: Rig, status_url: str, stop: threading.Event) -> None:
    """Prints the rig's figures every few seconds until `stop` is set."""
    shown_s = 0.0
    while not stop.wait(_REPORT_S):
        ticks = [tick for tick in list(rig.ticks) if tick.due_s > shown_s]
        shown_s = ticks[-1].due_s if ticks else shown_s
        tries = list(rig.returned)
        returned = f"{statistics.mean(tries):.0f}" if tries else "-"
        print(f"return {returned}; {summary(ticks)}; {_recorded(status_url)}", flush=True)


def _recorded(status_url: str) -> str:
    """Returns the broker's counts of the rig's env steps."""
    try:
        actors = fetch_status(status_url).actors
    except BrokerUnreachableError:
        return "no broker answers"
    for actor in actors:
        if actor.actor == ACTOR:
            return f"{actor.env_steps} env steps recorded, {actor.unrecorded_env_steps} not"
    return "the broker does not know the rig yet"


def main() -> None:
    """Runs until it is interrupted or terminated."""
    parser = argparse.ArgumentParser(description="Cart-poles that run in real time.")
    parser.add_argument("--broker", default="tcp://127.0.0.1:5555", help="the broker's address")
    parser.add_argument("--status", default="http://127.0.0.1:5560", help="the broker's HTTP URL")
    parser.add_argument("--priority", type=int, help="real-time priority, 1 to 99 (Linux, root)")
    parser.add_argument("--ticks", type=Path, help="the file for each tick's lateness, at the end")
    arguments = parser.parse_args()
    if arguments.priority is not None:
        claim_processor(arguments.priority)
    stop = threading.Event()
    on_stop_signal(stop.set)
    with PolicyClient(arguments.broker, actor=ACTOR, without_credit="act") as client:
        rig = Rig(client)
        reporter = threading.Thread(target=report, args=(rig, arguments.status, stop))
        reporter.start()
        rig.run(stop)
        reporter.join()
    if arguments.ticks is not None:
        write_ticks(arguments.ticks, rig.ticks)


if __name__ == "__main__":
    main()
