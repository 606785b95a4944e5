"""The newest published policy, its version and epoch, and verdicts on offers."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import Enum, auto

from headrace.protocol.arrays import Array
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.identity import NEWEST_EPOCH_OF_A_PEER, PolicyVersion
from headrace.protocol.limits import DecodeLimits
from headrace.protocol.manifest import Manifest, ModuleManifest, decode_policy, policy_digest
from headrace.protocol.messages import LearnerHello, Offer, Publish
from headrace.protocol.messages.headers import Frame
from headrace.protocol.payload import decode_payload

_REMEMBERED_OFFERS = 256


@dataclass(frozen=True)
class Published:
    """A policy version with its frames."""

    version: PolicyVersion
    manifest: Manifest
    digest: str
    weights_digest: str
    policy_frame: Frame
    weights_frame: Frame


class OfferVerdict(Enum):
    """How an offered version compares with the published one."""

    NEWER = auto()
    PASSED = auto()
    WENT_BACK = auto()


class PolicyVersions:
    """The newest policy of one run, and the epochs that keep versions from going back."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._offered: OrderedDict[int, str] = OrderedDict()
        self._history: deque[tuple[float, PolicyVersion]] = deque(maxlen=64)
        self._epoch_is_older_than_broker = False
        self._newest_epoch_heard = 0
        self.learner_run: str | None = None
        self.epoch = 0
        self.published: Published | None = None

    def admit(self, hello: LearnerHello) -> None:
        """Grants a learner run its epoch, or raises it to what another broker has granted.

        Raises:
            RemoteProtocolError: the learner claims an implausibly high epoch.
        """
        self.note_epoch(max(hello.newest_epoch, hello.granted_epoch))
        if hello.learner_run == self.learner_run:
            self._raise_to(hello.granted_epoch)
            return
        self.learner_run = hello.learner_run
        if hello.granted_epoch > self.epoch and hello.granted_epoch == self._newest_epoch_heard:
            # Granted by an earlier incarnation of this broker: recorded batches stay valid.
            self.epoch = hello.granted_epoch
            self._epoch_is_older_than_broker = True
        else:
            self.begin_epoch()

    def _raise_to(self, epoch: int) -> None:
        """Moves to an epoch that was granted elsewhere: the learner publishes in it again."""
        if epoch > self.epoch:
            self.epoch = epoch
            self._epoch_is_older_than_broker = True
            self._offered.clear()

    def begin_epoch(self) -> None:
        """Moves to an epoch above every known one."""
        self.epoch = self._newest_epoch_heard = max(self.epoch, self._newest_epoch_heard) + 1
        self._epoch_is_older_than_broker = False
        self._offered.clear()

    def is_foreign(self, version: PolicyVersion) -> bool:
        """Returns whether an actor's version was published neither here nor by the present learner.

        Call `note_epoch` first.
        """
        if self.learner_run is None or version.epoch < self.epoch:
            return False
        if version.epoch > self.epoch:
            return True
        if self._epoch_is_older_than_broker:
            return self.published is not None and version > self.published.version
        return self.published is None or version > self.published.version

    def is_newer(self, number: int) -> bool:
        """Returns whether a number has not been reached in the present epoch."""
        newest = self.published.version if self.published is not None else PolicyVersion(0, 0)
        return newest.epoch != self.epoch or number > newest.number

    def judge(self, offer: Offer) -> OfferVerdict:
        """Distinguishes a new version from a repeated or late one, and from a restored learner.

        Runners of one learner see its versions at different times, and skip some. A restored
        learner goes back: its runner offers a number that it had itself passed, with other weights.
        """
        if self.is_newer(offer.number):
            return OfferVerdict.NEWER
        if self._offered.get(offer.number) == offer.weights_digest:
            return OfferVerdict.PASSED
        previous = offer.previous
        if previous is None or previous.epoch != self.epoch or offer.number > previous.number:
            return OfferVerdict.PASSED
        return OfferVerdict.WENT_BACK

    def lacks_policy(self, digest: str) -> bool:
        """Returns whether the policy frame with this digest must be published as well."""
        return self.published is None or self.published.digest != digest

    def publish(
        self, message: Publish, policy_frame: Frame, weights_frame: Frame, now_s: float
    ) -> Published:
        """Stores new weights and returns them as the newest version.

        Raises:
            RemoteProtocolError: a frame does not match its digest or the manifest.
        """
        manifest, policy_frame = self._policy(message.policy_digest, policy_frame)
        _check_weights(manifest, decode_payload(weights_frame, self._limits))
        return self._store(
            Published(
                PolicyVersion(self.epoch, message.number),
                manifest,
                message.policy_digest,
                message.weights_digest,
                policy_frame,
                weights_frame,
            ),
            now_s,
        )

    def republish(self, now_s: float) -> Published | None:
        """Gives the newest weights a version in the present epoch."""
        if self.published is None:
            return None
        version = PolicyVersion(self.epoch, self.published.version.number)
        self._offered[version.number] = self.published.weights_digest
        return self._store(dataclasses.replace(self.published, version=version), now_s)

    def settled_version(self, now_s: float, age_s: float = 1.0) -> PolicyVersion | None:
        """Returns the newest version at least `age_s` old, which every actor should have."""
        settled = [version for at_s, version in self._history if now_s - at_s >= age_s]
        return settled[-1] if settled else None

    def _store(self, published: Published, now_s: float) -> Published:
        self.published = published
        self._history.append((now_s, published.version))
        return published

    def remember(self, offer: Offer) -> None:
        """Remembers which weights were offered under a number, in case it is offered again."""
        self._offered[offer.number] = offer.weights_digest
        if len(self._offered) > _REMEMBERED_OFFERS:
            self._offered.popitem(last=False)

    def note_epoch(self, epoch: int) -> None:
        """Records an epoch known to a peer: every epoch begun from now on is above it.

        Raises:
            RemoteProtocolError: it is implausibly high.
        """
        if epoch > NEWEST_EPOCH_OF_A_PEER:
            raise RemoteProtocolError(RejectCode.MALFORMED, f"epoch {epoch} is implausibly high")
        self._newest_epoch_heard = max(self._newest_epoch_heard, epoch)

    def _policy(self, digest: str, frame: Frame) -> tuple[Manifest, Frame]:
        if not len(frame):
            if self.published is None or self.published.digest != digest:
                raise RemoteProtocolError(
                    RejectCode.INVALID_POLICY, "weights for a policy that has not been published"
                )
            return self.published.manifest, self.published.policy_frame
        if policy_digest(frame) != digest:
            raise RemoteProtocolError(
                RejectCode.INVALID_POLICY, "a policy frame that differs from its digest"
            )
        return decode_policy(frame).manifest, frame


def _check_weights(manifest: Manifest, tree: dict[str, object]) -> None:
    if tree.keys() != manifest.modules.keys():
        raise RemoteProtocolError(RejectCode.INVALID_POLICY, f"weights for modules {sorted(tree)}")
    for module_id, module in manifest.modules.items():
        fault = _find_weights_fault(tree[module_id], module)
        if fault is not None:
            raise RemoteProtocolError(
                RejectCode.INVALID_POLICY, f"weights of module {module_id!r} {fault}"
            )


def _find_weights_fault(tensors: object, module: ModuleManifest) -> str | None:
    specs = {spec.name: spec for spec in module.graph.weights}
    if not isinstance(tensors, dict) or tensors.keys() != specs.keys():
        return "do not have the names that the graph expects"
    for name, spec in specs.items():
        tensor: Array = tensors[name]
        dtype_and_shape = getattr(tensor, "dtype", None), getattr(tensor, "shape", None)
        if dtype_and_shape != (spec.dtype, spec.shape):
            return f"have {name!r} as {dtype_and_shape}; expected {spec.dtype} {spec.shape}"
    return None
