"""Runs cases, several at a time, since most of each is waiting."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import zmq

from headrace.deploy.conformance.cases import Case
from headrace.deploy.conformance.client_process import ClientProcess
from headrace.deploy.conformance.harness import Harness
from headrace.deploy.conformance.ports import Ports
from headrace.deploy.conformance.scripted_broker import ScriptedBroker
from headrace.deploy.conformance.violations import Violation

_PORTS = range(20_000, 29_000, 4)
"""Below the ephemeral ports that systems give to outgoing connections."""


@dataclass(frozen=True)
class CaseResult:
    """The result of a case.

    Attributes:
        fault: the violation that ended the case; None if the client passed.
    """

    case: Case
    fault: Violation | None
    seconds: float


def run_all(
    cases: Sequence[Case], command: Sequence[str], *, jobs: int, start_s: float
) -> Iterator[CaseResult]:
    """Yields the results in the order of the cases, each as soon as it is known.

    Args:
        command: starts the client; `{broker}` in it is replaced by the broker's address.
        jobs: cases at a time.
        start_s: how long the client may take to send its first hello.

    Raises:
        OSError: the command cannot be started.
    """
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda case: run_case(case, command, start_s), cases)


def run_case(case: Case, command: Sequence[str], start_s: float) -> CaseResult:
    """Runs one case with a client process of its own.

    Raises:
        OSError: the command cannot be started.
    """
    began_at_s = time.monotonic()
    fault = None
    with zmq.Context[zmq.Socket[bytes]]() as context:
        ports = Ports(context, random.SystemRandom().choice(_PORTS))
        try:
            with ClientProcess(command, ports.address) as client:
                case.play(Harness(ScriptedBroker(ports), client, start_s))
        except Violation as found:
            fault = found
        finally:
            ports.close()
    return CaseResult(case, fault, time.monotonic() - began_at_s)
