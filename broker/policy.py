"""What the learner published last, under which version, and whether an offer is wanted."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import Enum, auto

from headrace.protocol.arrays import Array
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.headers import Frame
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.limits import DecodeLimits
from headrace.protocol.manifest import Manifest, ModuleManifest, decode_policy, policy_digest
from headrace.protocol.messages import Offer, Publish
from headrace.protocol.payload import decode_payload

_REMEMBERED_OFFERS = 256


@dataclass(frozen=True)
class Published:
    """A version of the policy, with the frames that carry it."""

    version: PolicyVersion
    manifest: Manifest
    digest: str
    policy_frame: Frame
    weights_frame: Frame


class OfferVerdict(Enum):
    """What an offered version is."""

    NEWER = auto()
    KNOWN = auto()
    WENT_BACK = auto()


class PolicyDesk:
    """The newest policy of one run, and the epochs that keep versions from going back."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._digest_by_number: OrderedDict[int, str] = OrderedDict()
        self._history: deque[tuple[float, PolicyVersion]] = deque(maxlen=64)
        self.learner_run: str | None = None
        self.epoch = 0
        self.newest_epoch_heard = 0
        self.published: Published | None = None

    def admit(self, learner_run: str, newest_epoch: int) -> None:
        """Grants a learner run its epoch, unless it has one already."""
        self.newest_epoch_heard = max(self.newest_epoch_heard, newest_epoch)
        if learner_run != self.learner_run:
            self.learner_run = learner_run
            self.begin_epoch()

    def begin_epoch(self) -> None:
        """Moves to an epoch above every one that was heard of."""
        self.epoch = max(self.epoch, self.newest_epoch_heard) + 1
        self.newest_epoch_heard = self.epoch
        self._digest_by_number.clear()

    def judge(self, offer: Offer | Publish) -> OfferVerdict:
        """Tells a new version from a repeated or late offer, and from a restored learner."""
        known_digest = self._digest_by_number.get(offer.number)
        if known_digest == offer.weights_digest:
            return OfferVerdict.KNOWN
        newest = max(self._digest_by_number, default=-1)
        if known_digest is not None or offer.number < newest:
            return OfferVerdict.WENT_BACK
        return OfferVerdict.NEWER

    def lacks_policy(self, digest: str) -> bool:
        """Returns whether the policy frame of that digest has to be published too."""
        return self.published is None or self.published.digest != digest

    def publish(
        self, message: Publish, policy_frame: Frame, weights_frame: Frame, now_s: float
    ) -> Published:
        """Takes new weights, and returns them as the newest version.

        Raises:
            RemoteProtocolError: a frame is not what its digest or the manifest says.
        """
        manifest, policy_frame = self._policy(message.policy_digest, policy_frame)
        _check_weights(manifest, decode_payload(weights_frame, self._limits))
        self._digest_by_number[message.number] = message.weights_digest
        while len(self._digest_by_number) > _REMEMBERED_OFFERS:
            self._digest_by_number.popitem(last=False)
        version = PolicyVersion(self.epoch, message.number)
        return self._store(
            Published(version, manifest, message.policy_digest, policy_frame, weights_frame), now_s
        )

    def republish(self, now_s: float) -> Published | None:
        """Gives the newest weights a version in the present epoch."""
        if self.published is None:
            return None
        old = self.published
        version = PolicyVersion(self.epoch, old.version.number)
        return self._store(
            Published(version, old.manifest, old.digest, old.policy_frame, old.weights_frame), now_s
        )

    def settled_version(self, now_s: float, age_s: float = 1.0) -> PolicyVersion | None:
        """Returns the newest version that is at least so old: what every actor should have."""
        settled = [version for at_s, version in self._history if now_s - at_s >= age_s]
        return settled[-1] if settled else None

    def _store(self, published: Published, now_s: float) -> Published:
        self.published = published
        self._history.append((now_s, published.version))
        return published

    def _policy(self, digest: str, frame: Frame) -> tuple[Manifest, Frame]:
        if not len(frame):
            if self.published is None or self.published.digest != digest:
                raise RemoteProtocolError(
                    RejectCode.INVALID_POLICY, "weights for a policy that was not published"
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
        return "do not have the names that the graph wants"
    for name, spec in specs.items():
        tensor: Array = tensors[name]
        dtype_and_shape = getattr(tensor, "dtype", None), getattr(tensor, "shape", None)
        if dtype_and_shape != (spec.dtype, spec.shape):
            return f"have {name!r} as {dtype_and_shape}, the graph wants {spec.dtype} {spec.shape}"
    return None
