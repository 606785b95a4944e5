"""A crossing of two roads in SUMO, whose traffic light is controlled every five seconds."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Self

import libsumo
import numpy as np
import sumo
from numpy.typing import NDArray

from examples.sumo.demand import ARMS, write_demand

DECISION_S = 5
EPISODE_S = 1800
MIN_GREEN_S = 7
YELLOW_S = 3

_FOLDER = Path(__file__).parent
_LIGHT = "centre"
_LANES = tuple(f"{arm}_in_{lane}" for arm in ARMS for lane in range(2))
_HALTED_SCALE, _WAITED_SCALE_S, _GREEN_SCALE_S = 20.0, 300.0, 60.0


class Crossing:
    """SUMO with one crossing, in this process; `begin` an episode, then `run` until it `is_over`.

    Attributes:
        green_s: how long the light has been green for the current axis.
        waited_s: vehicle-seconds spent standing in this episode, including those of vehicles that
            find no room on the road.
    """

    def __init__(self, episode_s: int = EPISODE_S) -> None:
        self._episode_s = episode_s
        self._scratch = tempfile.TemporaryDirectory(prefix="crossing-")
        self._network = Path(self._scratch.name) / "crossing.net.xml"
        _build(self._network)
        self._axis_phases: tuple[tuple[str, str], ...] = ()
        self._axis = 0
        self._vehicles = 0
        self.green_s = 0
        self.waited_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        libsumo.close()
        self._scratch.cleanup()

    @property
    def is_over(self) -> bool:
        """Whether the episode has reached its time limit."""
        return float(libsumo.simulation.getTime()) >= self._episode_s

    @property
    def mean_waiting_s(self) -> float:
        """The mean time that a vehicle of this episode has stood."""
        return self.waited_s / self._vehicles

    def begin(self, seed: int) -> None:
        """Begins an episode, which the seed and the decisions determine."""
        libsumo.close()
        demand = Path(self._scratch.name) / "demand.rou.xml"
        self._vehicles = write_demand(demand, seed, self._episode_s)
        command = ["sumo", "--net-file", str(self._network), "--route-files", str(demand)]
        # Without teleports a stuck vehicle stays, and its waiting is counted.
        command += ["--time-to-teleport", "-1", "--seed", str(seed)]
        libsumo.start([*command, "--no-step-log", "--no-warnings", "--xml-validation", "never"])
        self._axis_phases = _axis_phases()
        self._axis, self.green_s, self.waited_s = 0, 0, 0.0
        self._show_green()

    def observe(self) -> NDArray[np.float32]:
        """Returns a controller's observation, [18]; all values are around 1 at most.

        For each of the eight lanes that lead to the crossing, the number of standing vehicles, then
        their total waiting time; last the axis that has green, and for how long it has had it.
        """
        halted = [libsumo.lane.getLastStepHaltingNumber(lane) / _HALTED_SCALE for lane in _LANES]
        waited = [libsumo.lane.getWaitingTime(lane) / _WAITED_SCALE_S for lane in _LANES]
        light = [float(self._axis), self.green_s / _GREEN_SCALE_S]
        return np.array([*halted, *waited, *light], np.float32)

    def run(self, *, switch: bool) -> float:
        """Runs to the next decision; returns the vehicle-seconds spent standing.

        Args:
            switch: give the other axis green, after yellow. Ignored until the minimum green time
                is over.
        """
        before_s, seconds = self.waited_s, DECISION_S
        if switch and self.green_s >= MIN_GREEN_S:
            libsumo.trafficlight.setRedYellowGreenState(_LIGHT, self._axis_phases[self._axis][1])
            self._pass(YELLOW_S)
            self._axis, self.green_s, seconds = 1 - self._axis, 0, DECISION_S - YELLOW_S
            self._show_green()
        self._pass(seconds)
        self.green_s += seconds
        return self.waited_s - before_s

    def _show_green(self) -> None:
        libsumo.trafficlight.setRedYellowGreenState(_LIGHT, self._axis_phases[self._axis][0])

    def _pass(self, seconds: int) -> None:
        for _ in range(seconds):
            libsumo.simulationStep()
            halted = sum(libsumo.lane.getLastStepHaltingNumber(lane) for lane in _LANES)
            self.waited_s += halted + len(libsumo.simulation.getPendingVehicles())


def _build(network: Path) -> None:
    """Builds SUMO's network from the nodes and edges in this folder."""
    command: list[str | Path] = [Path(sumo.SUMO_HOME) / "bin" / "netconvert"]
    command += ["--no-turnarounds", "true"]
    command += ["--node-files", _FOLDER / "crossing.nod.xml"]
    command += ["--edge-files", _FOLDER / "crossing.edg.xml", "--output-file", network]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - no input of others


def _axis_phases() -> tuple[tuple[str, str], ...]:
    """Returns the green and yellow signals of each axis, from netconvert's plan."""
    [plan] = libsumo.trafficlight.getAllProgramLogics(_LIGHT)
    first_green, first_yellow, second_green, second_yellow = (p.state for p in plan.phases)
    return (first_green, first_yellow), (second_green, second_yellow)
