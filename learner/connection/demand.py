"""How many env steps a learner asks of each of its brokers at present."""

from __future__ import annotations

from collections.abc import Sequence


class Demand:
    """What was asked for and has not arrived; `ask` divides it, `take_over` moves it.

    A request never waits for the slowest broker: one that has delivered all that it was asked for
    takes over half of what another does not have ready.

    Attributes:
        asked: env steps that each broker still owes.
    """

    def __init__(self, brokers: int) -> None:
        self.asked = [0] * brokers
        self._owed = [0.0] * brokers
        self._has_finished = [False] * brokers

    def begin(self) -> None:
        """Begins another request: which brokers delivered the last one no longer counts."""
        self._has_finished = [False] * len(self.asked)

    def ask(self, env_steps: int, shares: Sequence[float]) -> list[int]:
        """Changes what is asked for so that it adds up; returns what each broker is asked more.

        Args:
            env_steps: what all brokers together should owe.
            shares: of each broker; they add up to 1.
        """
        more = env_steps - sum(self.asked)
        if more <= 0:
            self._withdraw(-more)
            return [0] * len(self.asked)
        parts = self._divide(more, shares)
        for broker, part in enumerate(parts):
            self.asked[broker] += part
        return parts

    def note_delivered(self, broker: int, env_steps: int) -> None:
        """Counts what arrived from a broker."""
        owed = self.asked[broker]
        self.asked[broker] = max(0, owed - env_steps)
        if owed and not self.asked[broker]:
            self._has_finished[broker] = True

    def release(self, broker: int) -> None:
        """Asks nothing more of a broker that is gone."""
        self.asked[broker] = 0
        self._has_finished[broker] = False

    def take_over(self, ready_steps: Sequence[int]) -> None:
        """Moves half of what brokers do not have ready to one that has delivered all it owed.

        Args:
            ready_steps: what each broker has in its queue, as far as known.
        """
        for broker, has_finished in enumerate(self._has_finished):
            if not has_finished or self.asked[broker]:
                continue
            for other, owed in enumerate(self.asked):
                late = max(0, owed - ready_steps[other]) if other != broker else 0
                taken = late - late // 2
                if taken:
                    self.asked[other] -= taken
                    self.asked[broker] += taken
                    # Else brokers that have nothing left would pass one step around.
                    self._has_finished[other] = False

    def _withdraw(self, env_steps: int) -> None:
        """Asks for less, first of those that owe most."""
        for broker in sorted(range(len(self.asked)), key=lambda n: -self.asked[n]):
            less = min(env_steps, self.asked[broker])
            self.asked[broker] -= less
            env_steps -= less

    def _divide(self, env_steps: int, shares: Sequence[float]) -> list[int]:
        """Divides into whole numbers; what rounding took from a broker, it is asked later."""
        owed = [
            share * env_steps + (rest if share else 0.0)
            for share, rest in zip(shares, self._owed, strict=True)
        ]
        parts = [max(0, int(steps)) for steps in owed]
        takers = [broker for broker, share in enumerate(shares) if share]
        while sum(parts) < env_steps:
            parts[max(takers, key=lambda n: owed[n] - parts[n])] += 1
        while sum(parts) > env_steps:
            parts[min((n for n in takers if parts[n]), key=lambda n: owed[n] - parts[n])] -= 1
        self._owed = [steps - part for steps, part in zip(owed, parts, strict=True)]
        return parts
