"""What a learner knows of one of its brokers."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from headrace.learner.connection.session import LearnerSession

GONE_AFTER_S = 5.0
"""A broker answers a pull each second. After this silence it is left out, until it speaks again."""


@dataclass
class KnownBroker:
    """One broker, and the session with it.

    Attributes:
        is_live: whether it takes part: it has welcomed the session, and is not silent.
    """

    session: LearnerSession
    is_live: bool = False
    _heard_s: float = float("-inf")
    _ready_steps: int = 0
    _reports_at_ask: int = 0

    @property
    def ready_steps(self) -> int:
        """What it can lease at once; without limit until it has answered the newest pull."""
        if not self.is_live:
            return 0
        has_answered = self.session.report_count > self._reports_at_ask
        return self._ready_steps if has_answered else sys.maxsize

    @property
    def actors(self) -> int | None:
        """Its live actors, None while it is gone."""
        report = self.session.report
        return (report.actors if report is not None else 0) if self.is_live else None

    @property
    def evaluators(self) -> int | None:
        """Its evaluating actors, None while it is gone."""
        report = self.session.report
        return (report.evaluators if report is not None else 0) if self.is_live else None

    def note_contact(self, now_s: float) -> None:
        """Records that it has sent a message."""
        self._heard_s = now_s

    def note_leased(self, env_steps: int) -> None:
        """Counts what it has leased since its newest report."""
        self._ready_steps = max(0, self._ready_steps - env_steps)

    def note_report(self, queue_env_steps: int) -> None:
        """Records what it has in its queue."""
        self._ready_steps = queue_env_steps

    def look(self, now_s: float) -> bool:
        """Finds out whether it is live; returns whether that has changed."""
        is_live = self.session.is_joined and now_s - self._heard_s < GONE_AFTER_S
        has_changed = is_live != self.is_live
        self.is_live = is_live
        return has_changed

    def ask(self, env_steps: int) -> None:
        """Asks it for this many env steps, beside those that have arrived."""
        session = self.session
        if session.batches.asked_steps != env_steps:
            session.request(session.batches.ready_env_steps + env_steps)
            self._reports_at_ask = session.report_count
