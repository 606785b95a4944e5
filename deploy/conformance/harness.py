"""The harness of a case: a scripted broker, the client's process, and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from headrace.deploy.conformance.behaviour import FIRST_VERSION
from headrace.deploy.conformance.client_process import ClientProcess
from headrace.deploy.conformance.policy import PublishedPolicy, make_policy
from headrace.deploy.conformance.scripted_broker import ScriptedBroker
from headrace.deploy.conformance.violations import Section, fail
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Hello

Clock = Callable[[], float]

RUN = "conformance"
SOON_S = 5.0
"""How long an immediate reaction may take, since machines are busy."""


class Harness:
    """Serves the client during every wait, and ends the case at the first violation.

    Attributes:
        policy: the policy of the run that cases begin with.
    """

    def __init__(
        self,
        broker: ScriptedBroker,
        client: ClientProcess,
        start_s: float,
        clock: Clock = time.monotonic,
    ) -> None:
        self.broker = broker
        self.client = client
        self.policy: PublishedPolicy = make_policy(RUN)
        self._start_s = start_s
        self._clock = clock
        self.may_end = False

    def expect(
        self,
        condition: Callable[[], bool],
        within_s: float,
        section: Section,
        otherwise: str,
    ) -> None:
        """Serves until a condition holds.

        Raises:
            Violation: it does not hold in time (described by `otherwise`), or the client broke a
                rule.
        """
        end_s = self._clock() + within_s
        while not condition():
            if self._clock() > end_s:
                fail(section, f"{otherwise} (waited {within_s:g} s)")
            self._serve_once()

    def refuse(
        self, condition: Callable[[], bool], for_s: float, section: Section, sentence: str
    ) -> None:
        """Serves for a while during which a condition must never hold.

        Raises:
            Violation: it does (described by `sentence`), or the client broke a rule.
        """
        for _ in self._serving(for_s):
            if condition():
                fail(section, sentence)

    def serve(self, for_s: float) -> None:
        """Serves for a while during which the client must only break no rule."""
        for _ in self._serving(for_s):
            pass

    def await_hello(self) -> None:
        """Waits for the client to start and say hello."""
        self.expect(
            lambda: self.broker.heard(Hello) > 0,
            self._start_s,
            Section.DELIVERY,
            "sent no hello to the ingest endpoint",
        )

    def open(self, batches: int = 1) -> None:
        """Publishes version 1.1, and waits for hello and the first batches."""
        self.broker.publish(self.policy, FIRST_VERSION)
        self.await_hello()
        self.await_batch(batches)

    def await_batch(self, seq: int, within_s: float = 2 * SOON_S) -> None:
        """Waits until a batch is accepted."""
        broker = self.broker
        self.expect(
            lambda: broker.accepted >= seq,
            within_s,
            Section.DELIVERY,
            f"did not deliver batch {seq}, although it has weights and credit for it",
        )

    def await_version(self, version: PolicyVersion, why: str) -> None:
        """Waits until presence reports a version."""

        def has_it() -> bool:
            presence = self.broker.presence
            return presence is not None and presence.version == version

        self.expect(has_it, SOON_S, Section.DELIVERY, f"does not report version {version} {why}")

    def _serving(self, for_s: float) -> Iterator[None]:
        end_s = self._clock() + for_s
        while self._clock() < end_s:
            self._serve_once()
            yield

    def _serve_once(self) -> None:
        self.broker.serve_once()
        status = self.client.exit_status
        if status is not None and not self.may_end:
            fail(
                Section.DELIVERY,
                f"ended with exit status {status}; its last lines:\n{self.client.last_output}",
            )
