"""The life of a trajectory batch: where it waits, and what bounds it there."""

from __future__ import annotations

from docs.pictures.svg import Picture

_PLACES = (
    (
        "Recording",
        "the actor steps\none policy version",
        "fragment steps and\nseconds of the credit",
    ),
    ("Resend buffer", "the actor, until\nacknowledged", "credit: 4 batches\nunarrived per actor"),
    ("Broker queue", "in order of arrival,\nchecked", "the window W:\nqueued + reserved < W"),
    ("Leased", "one learner session,\nunconfirmed", "env steps that the\nrunner pulled"),
    ("sample()", "RLlib trains on its\nepisodes", "what the algorithm\nasked for"),
)
_LEFTS = (32, 242, 464, 686, 896)
_STEPS = ("push", "accept", "lease", "take")
_CONFIRM, _RETURN = 30, 66


def draw() -> str:
    """Returns the picture."""
    picture = Picture(1090, 410, "The life of a batch")
    picture.box(16, 96, 412, 258, text="Actor", look="group")
    picture.box(444, 96, 202, 258, text="Broker", look="group")
    picture.box(662, 96, 412, 258, text="Learner", look="group")
    boxes = []
    for x, (title, where, bound) in zip(_LEFTS, _PLACES, strict=True):
        look = "good" if title == "sample()" else "key"
        boxes.append(picture.box(x, 136, 162, 86, text=f"{title}\n{where}", look=look))
        picture.box(x, 256, 162, 82, text=f"bounded by\n{bound}")
        picture.arrow((x + 81, 256), boxes[-1].at("bottom"), is_dashed=True)
    for step, one, other in zip(_STEPS, boxes, boxes[1:], strict=False):
        picture.arrow(one.at("right"), other.at("left"), label=step)
    _, buffered, queued, leased, sampled = boxes
    picture.detour(
        sampled.at("top", 0.75),
        buffered.at("top", 0.3),
        y=_CONFIRM,
        label="confirm → consumed → acknowledged: the actor frees the batch",
    )
    picture.detour(
        leased.at("top", 0.8),
        queued.at("top", 0.2),
        y=_RETURN,
        label="the session ended: back to its place, attempt + 1",
    )
    picture.box(
        16,
        366,
        1058,
        32,
        text="A batch that is stale, rejected or dropped on the way is acknowledged too, and "
        "counted with its reason.",
        look="note",
    )
    return picture.draw()
