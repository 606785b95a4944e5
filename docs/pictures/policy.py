"""The life of a policy version."""

from __future__ import annotations

from docs.pictures.svg import Picture


def draw() -> str:
    """Returns the picture."""
    picture = Picture(1090, 400, "The life of a policy version")
    picture.box(16, 16, 330, 368, text="Learner", look="group")
    picture.box(420, 16, 270, 368, text="Broker", look="group")
    picture.box(764, 16, 310, 368, text="Actors", look="group")
    module = picture.box(
        36, 56, 290, 70, text="RLModule\nexported once: an ONNX graph and a manifest"
    )
    weights = picture.box(
        36, 176, 290, 70, text="Weights, update n\ntensors by name, filter statistics, epsilon"
    )
    stale = picture.box(
        36,
        300,
        290,
        70,
        text="Trained on\nif it is at most max_policy_lag versions old",
        look="good",
    )
    version = picture.box(
        440, 176, 230, 70, text="Version (epoch, n)\none epoch per learner run", look="key"
    )
    lease = picture.box(440, 300, 230, 70, text="Lease\nstaleness is decided here, once")
    snapshot = picture.box(
        784, 56, 270, 70, text="An actor that joins\ngets graph, manifest and weights"
    )
    acting = picture.box(
        784, 176, 270, 70, text="Acting\nswaps weights between batches only", look="key"
    )
    batch = picture.box(784, 300, 270, 70, text="Batch\nstamped with the version that acted")
    picture.arrow(module.at("bottom"), weights.at("top"), label="set_state, each update")
    picture.arrow(weights.at("right", 0.25), version.at("left", 0.25), label="offer")
    picture.arrow(version.at("left", 0.5), weights.at("right", 0.5), label="want")
    picture.arrow(weights.at("right", 0.8), version.at("left", 0.8), label="publish")
    picture.arrow(version.at("right"), acting.at("left"), label="weights")
    picture.arrow(version.at("top"), (555, 91), snapshot.at("left"), label="snapshot", segment=1)
    picture.arrow(snapshot.at("bottom"), acting.at("top"))
    picture.arrow(acting.at("bottom"), batch.at("top"), label="records")
    picture.arrow(batch.at("left"), lease.at("right"), label="push")
    picture.arrow(lease.at("left"), stale.at("right"), label="lease")
    picture.arrow(version.at("bottom"), lease.at("top"), label="newest version")
    return picture.draw()
