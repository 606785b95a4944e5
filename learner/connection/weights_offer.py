"""The weights offered to the broker, until they are published or superseded."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Offer, Publish, Want
from headrace.protocol.messages.headers import Frame

_OFFER_EVERY_S = 5.0

Publication = tuple[Publish, tuple[Frame, ...]]


@dataclass(frozen=True)
class OfferedWeights:
    """Weights ready to be published."""

    number: int
    weights_digest: str
    policy_digest: str
    policy_frame: bytes
    weights_frame: bytes


class WeightsOffer:
    """One offer at a time, repeated while it is open.

    Attributes:
        settled: our newest version that is published or superseded.
        is_open: whether the broker has not yet settled the offer.
        due_s: when to send the offer next, infinity if it is not open.
    """

    def __init__(self) -> None:
        self._weights: OfferedWeights | None = None
        self._previous: PolicyVersion | None = None
        self.settled: PolicyVersion | None = None
        self.is_open = False
        self.due_s = float("inf")

    @property
    def is_settled(self) -> bool:
        """Whether the offered weights are published or superseded."""
        return self._weights is not None and not self.is_open

    @property
    def largest_frame_bytes(self) -> int:
        """The size of the larger of the two frames, 0 before the first offer."""
        weights = self._weights
        return max(len(weights.policy_frame), len(weights.weights_frame)) if weights else 0

    def reopen(self) -> None:
        """Offers again in a new session, maybe with another broker."""
        self.is_open = self._weights is not None
        self._hasten()

    def offer(self, weights: OfferedWeights, epoch: int, *, is_alone: bool) -> bool:
        """Offers other weights; returns whether to publish them at once, without waiting.

        Args:
            epoch: the session's epoch.
            is_alone: whether no other runner can have published anything since.
        """
        former = self._weights
        if former is not None and (former.number, former.weights_digest) == (
            weights.number,
            weights.weights_digest,
        ):
            return False
        # An open offer may be addressed to a new broker that does not know the policy yet.
        publishes = not self.is_open and is_alone and self._continues(former, weights, epoch)
        self._weights, self._previous = weights, self.settled
        self.is_open = True
        self._hasten()
        return publishes

    def take_want(self, want: Want, epoch: int) -> bytes | None:
        """Handles the answer to an offer; returns the policy frame to publish with.

        None means that there is nothing to publish; the frame is empty if the broker has it.
        """
        weights = self._weights
        if weights is None or weights.number != want.number:
            return None
        if not want.weights:
            self.is_open, self.due_s = False, float("inf")
            self.settled = PolicyVersion(epoch, weights.number)
            return None
        self._hasten()  # the answer to the next offer says whether this publish arrived
        return weights.policy_frame if want.policy else b""

    def message(self, session: int, now_s: float) -> Offer | None:
        """Returns the offer if it is due."""
        weights = self._weights
        if weights is None or not self.is_open or now_s < self.due_s:
            return None
        self.due_s = now_s + _OFFER_EVERY_S
        return Offer(
            session=session,
            number=weights.number,
            weights_digest=weights.weights_digest,
            policy_digest=weights.policy_digest,
            previous=self._previous,
        )

    def publication(self, session: int, policy_frame: bytes) -> list[Publication]:
        """Returns the message that publishes the offered weights."""
        weights = self._weights
        if weights is None:
            return []
        message = Publish(
            session=session,
            number=weights.number,
            weights_digest=weights.weights_digest,
            policy_digest=weights.policy_digest,
        )
        return [(message, (policy_frame, weights.weights_frame))]

    def _continues(
        self, former: OfferedWeights | None, weights: OfferedWeights, epoch: int
    ) -> bool:
        """Returns whether weights follow published ones of the same policy."""
        return (
            former is not None
            and self.settled == PolicyVersion(epoch, former.number)
            and weights.number > former.number
            and weights.policy_digest == former.policy_digest
        )

    def _hasten(self) -> None:
        if self.is_open:
            self.due_s = float("-inf")
