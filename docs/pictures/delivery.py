"""The states of a batch in delivery; the ends are those that the protocol counts."""

from __future__ import annotations

from docs.pictures.svg import Picture
from headrace.protocol.delivery import Outcome

_MEANS = {
    Outcome.CONSUMED: "training had it",
    Outcome.STALE: "too old when leased",
    Outcome.REJECTED: "unfit, or poison",
    Outcome.DROPPED: "of another run",
    Outcome.STORED: "the journal has it",
}
_FIRST, _ROW, _HEIGHT = 24, 76, 58
_CONFIRM_BUS, _BUS = 832, 866


def draw() -> str:
    """Returns the picture."""
    picture = Picture(1090, 470, "The states of a batch in delivery")
    entered = picture.box(20, 130, 150, 64, text="Entered\nnumbered, kept")
    sent = picture.box(230, 130, 150, 64, text="Sent\nnot accepted yet")
    accepted = picture.box(440, 130, 150, 64, text="Accepted\nin order, queued", look="key")
    leased = picture.box(650, 130, 150, 64, text="Leased\nto one session", look="key")
    picture.arrow(entered.at("right"), sent.at("left"), label="send")
    picture.arrow(sent.at("right"), accepted.at("left"), label="accept")
    picture.arrow(accepted.at("right"), leased.at("left"), label="lease")
    picture.detour(
        sent.at("bottom"),
        entered.at("bottom"),
        y=250,
        label="again: timeout, gap,\nlost connection, new broker",
    )
    picture.detour(leased.at("top"), accepted.at("top"), y=70, label="session ended: attempt + 1")
    picture.arrow(
        accepted.at("bottom"),
        (515, 300),
        (_BUS, 300),
        label="too old, unfit, of another run, or on disk",
        segment=1,
    )
    for index, outcome in enumerate(Outcome):
        look = "good" if outcome in (Outcome.CONSUMED, Outcome.STORED) else "bad"
        text = f"{outcome.value}\n{_MEANS[outcome]}"
        end = picture.box(900, _FIRST + index * _ROW, 170, _HEIGHT, text=text, look=look)
        if outcome is Outcome.CONSUMED:
            picture.arrow(
                leased.at("right"),
                (_CONFIRM_BUS, 162),
                (_CONFIRM_BUS, 53),
                end.at("left"),
                label="confirm",
                segment=1,
            )
        else:
            picture.arrow((_BUS, 300), (_BUS, end.at("left")[1]), end.at("left"))
    picture.box(
        20,
        408,
        1050,
        42,
        text="Each end moves `acknowledged`, and the actor forgets the batch. Duplicates are found "
        "by (actor, incarnation, seq).",
        look="note",
    )
    return picture.draw()
