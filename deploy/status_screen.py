"""A broker's status as lines for a terminal of any size; whole words from 80 columns on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from headrace.broker.routing.actor_status import ActorStatus
from headrace.broker.routing.status import BrokerStatus, LearnerStatus
from headrace.deploy.merged_status import BrokerPart

Sort = Literal["id", "steps", "lag", "produced", "rejected", "silent", "host"]
State = Literal["live", "silent", "all"]

_LEAST_NAME = 12
_FEWEST_ROWS = 3
_OTHER_ROWS = 3
"""The header, the line that counts the rest, and the terminal's cursor."""


@dataclass(frozen=True)
class Selection:
    """Which actors to list.

    Attributes:
        state: "live" sums the silent ones up in a line.
        host: only those of this host; None for all.
        limit: most rows; None for as many as the terminal has.
    """

    sort: Sort = "id"
    state: State = "live"
    host: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Screen:
    """A terminal; a height of None does not end."""

    width: int = 80
    height: int | None = None


@dataclass(frozen=True)
class Line:
    """A line of text, and how it is to be shown."""

    text: str
    style: Literal["", "dim", "bold", "yellow", "red"] = ""


@dataclass(frozen=True)
class _Column:
    name: str
    read: Callable[[ActorStatus], str]
    is_number: bool = True


_COLUMNS = (
    _Column("steps/s", lambda a: f"{a.steps_per_s:,.0f}"),
    _Column("policy", lambda a: a.version or "-"),
    _Column("lag", lambda a: "-" if a.policy_lag is None else str(a.policy_lag)),
    _Column("credit", lambda a: str(a.unarrived)),
    _Column("produced", lambda a: f"{a.produced:,}"),
    _Column("stale", lambda a: f"{a.stale:,}"),
    _Column("rejected", lambda a: f"{a.rejected:,}"),
    # Only where the terminal is wide enough:
    _Column("unaccepted", lambda a: f"{a.produced - a.accepted:,}"),
    _Column("unrecorded", lambda a: f"{a.unrecorded_env_steps:,}"),
    _Column("broken", lambda a: f"{a.broken_episodes:,}"),
    _Column("host", lambda a: _printable(a.host), is_number=False),
    _Column("client", lambda a: _printable(a.client), is_number=False),
)
_ALWAYS = 7
_BROKER = _Column("broker", lambda a: _printable(a.broker or "-"))

_KEYS: dict[Sort, Callable[[ActorStatus], Any]] = {
    "id": lambda a: _natural(a.actor),
    "steps": lambda a: -a.steps_per_s,
    "lag": lambda a: -(-1 if a.policy_lag is None else a.policy_lag),
    "produced": lambda a: -a.produced,
    "rejected": lambda a: -a.rejected,
    "silent": lambda a: -a.silent_s,
    "host": lambda a: (a.host, _natural(a.actor)),
}


def status_lines(
    status: BrokerStatus,
    selection: Selection = Selection(),
    screen: Screen = Screen(),
    brokers: Sequence[BrokerPart] = (),
) -> list[Line]:
    """Returns the status, with no more rows of actors than there is room for.

    Args:
        brokers: those whose status it is, if there are several.
    """
    above = [
        *_wrapped(_run_parts(status), screen.width),
        *(
            line
            for learner in status.learners
            for line in _wrapped(_learner_parts(learner), screen.width)
        ),
    ]
    if not status.learners:
        above.append(Line("learner  none is connected"))
    above += _wrapped(_fleet_parts(status), screen.width)
    for part in brokers:
        above += _broker_lines(part, status.version, screen.width)
    below = [
        *_wrapped(_ledger_parts(status), screen.width),
        *_reject_lines(status, screen.width),
        *_quarantine_lines(status, screen.width),
        *_advice_lines(status, screen.width),
    ]
    chosen = _chosen(status.actors, selection)
    room = _room(selection, screen, len(above) + len(below))
    shown = chosen if room is None else chosen[:room]
    table = _table(shown, screen.width)
    left_out = len(chosen) - len(shown)
    if left_out:
        table.append(Line(f"… and {left_out} more: --limit, --sort, --state and --host choose"))
    return [*above, *table, *below]


def _room(selection: Selection, screen: Screen, others: int) -> int | None:
    """Returns the most rows of actors; None for all."""
    if selection.limit is not None:
        return selection.limit
    if screen.height is None:
        return None
    return max(_FEWEST_ROWS, screen.height - others - _OTHER_ROWS)


def _chosen(actors: Sequence[ActorStatus], selection: Selection) -> list[ActorStatus]:
    chosen = [
        actor
        for actor in actors
        if (selection.state == "all" or actor.is_live == (selection.state == "live"))
        and (selection.host is None or actor.host == selection.host)
    ]
    return sorted(chosen, key=lambda actor: (not actor.is_live, _KEYS[selection.sort](actor)))


def _table(actors: Sequence[ActorStatus], width: int) -> list[Line]:
    if not actors:
        return []
    names = [_printable(actor.actor) for actor in actors]
    name_width = max(_LEAST_NAME, *map(len, names))
    are_of_several = any(actor.broker for actor in actors)
    columns = (_BROKER, *_COLUMNS) if are_of_several else _COLUMNS
    cells = [[column.read(actor) for actor in actors] for column in columns]
    widths = [
        max(len(column.name), *map(len, values))
        for column, values in zip(columns, cells, strict=True)
    ]
    count = _ALWAYS + are_of_several
    while count < len(columns) and _total(name_width, widths[: count + 1]) <= width:
        count += 1
    name_width = max(_LEAST_NAME, min(name_width, width - _total(0, widths[:count])))
    header = [column.name for column in columns[:count]]
    rows = [[values[index] for values in cells[:count]] for index in range(len(actors))]
    are_numbers = [column.is_number for column in columns]

    def line(name: str, row: Sequence[str]) -> str:
        return _row([_shortened(name, name_width), *row], name_width, widths, are_numbers)

    lines = [Line(line("actor", header), "bold")]
    for actor, name, row in zip(actors, names, rows, strict=True):
        text = line(name, row)
        lines.append(Line(text, "" if actor.is_live else "dim"))
    return lines


def _total(name_width: int, widths: Sequence[int]) -> int:
    return name_width + sum(2 + width for width in widths)


def _row(
    cells: Sequence[str], name_width: int, widths: Sequence[int], are_numbers: Sequence[bool]
) -> str:
    texts = [cells[0].ljust(name_width)]
    for cell, is_number, width in zip(cells[1:], are_numbers, widths, strict=False):
        texts.append(cell.rjust(width) if is_number else cell.ljust(width))
    return "  ".join(texts).rstrip()


def _run_parts(status: BrokerStatus) -> list[str]:
    parts = [f"run {_printable(status.run or '-')}", f"policy {status.version or '-'}"]
    if status.task is not None:
        parts.append(f"task {_printable(status.task)}")
    return [*parts, f"up {_duration(status.uptime_s)}"]


def _learner_parts(learner: LearnerStatus) -> list[str]:
    parts = [f"learner {learner.worker_index} on {_printable(learner.host)}"]
    progress = learner.progress
    if progress is None:
        return [*parts, "no iteration yet"]
    returned = progress.episode_return_mean
    return [
        *parts,
        f"iteration {progress.iteration:,}",
        f"{progress.env_steps:,} env steps",
        f"return {'-' if returned is None else f'{returned:,.1f}'}",
    ]


def _fleet_parts(status: BrokerStatus) -> list[str]:
    live = [actor for actor in status.actors if actor.is_live]
    silent = [actor for actor in status.actors if not actor.is_live]
    parts = [
        f"{len(live)} live {'actor' if len(live) == 1 else 'actors'}",
        f"{sum(actor.steps_per_s for actor in live):,.0f} env steps/s",
    ]
    if silent:
        last_s = min(actor.silent_s for actor in silent)
        parts.append(f"{len(silent)} silent, the last since {_duration(last_s)}")
    queue = f"queue {status.queue_env_steps:,} env steps in {status.queue_batches:,} batches"
    return [*parts, queue]


def _broker_lines(part: BrokerPart, newest: str | None, width: int) -> list[Line]:
    name = f"broker {part.name} at {_printable(part.place)}"
    status = part.status
    if status is None:
        return [Line(_cut(f"{name}   does not answer", width), "red")]
    live = [actor for actor in status.actors if actor.is_live]
    parts = [
        name,
        f"{len(live)} live",
        f"{sum(actor.steps_per_s for actor in live):,.0f} env steps/s",
        f"queue {status.queue_env_steps:,}",
    ]
    if status.version != newest:
        parts.append(f"policy {status.version or '-'}")
    return _wrapped(parts, width)


def _ledger_parts(status: BrokerStatus) -> list[str]:
    ledger = status.ledger
    return [
        f"batches  {ledger.produced:,} produced = {ledger.consumed:,} consumed",
        f"+ {ledger.stale:,} stale + {ledger.rejected:,} rejected",
        f"+ {ledger.dropped:,} dropped + {ledger.held:,} held",
    ]


def _reject_lines(status: BrokerStatus, width: int) -> list[Line]:
    if not status.rejects:
        return []
    counts = ", ".join(f"{code} {count:,}" for code, count in sorted(status.rejects.items()))
    lines = [Line(_cut(f"rejects  {counts}", width), "yellow")]
    guilty = sorted((a for a in status.actors if a.rejected), key=attrgetter("rejected"))[::-1]
    for actor in guilty[:_FEWEST_ROWS]:
        reason = _printable(actor.last_reject)
        text = f"  {_printable(actor.actor)} {actor.rejected:,}: {reason}"
        lines.append(Line(_cut(text, width), "yellow"))
    if len(guilty) > _FEWEST_ROWS:
        lines.append(Line(f"  … and {len(guilty) - _FEWEST_ROWS} more actors", "yellow"))
    return lines


def _quarantine_lines(status: BrokerStatus, width: int) -> list[Line]:
    return [
        Line(
            _cut(
                f"quarantine  {_printable(peer.name)}: its messages are discarded for another "
                f"{_duration(peer.left_s)}",
                width,
            ),
            "red",
        )
        for peer in status.quarantined
    ]


def _advice_lines(status: BrokerStatus, width: int) -> list[Line]:
    """Returns each piece of advice once, with the actors that it is for."""
    by_advice: dict[str, list[str]] = {}
    for actor in status.actors:
        if actor.advice and actor.is_live:
            by_advice.setdefault(_printable(actor.advice), []).append(_printable(actor.actor))
    lines: list[Line] = []
    for advice, names in by_advice.items():
        whose = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
        lines += [Line(line.text, "yellow") for line in _wrapped_words(f"{whose}: {advice}", width)]
    return lines


def _wrapped(parts: Sequence[str], width: int) -> list[Line]:
    """Returns parts in as few lines as they take; a part is not divided."""
    lines = [parts[0]]
    for part in parts[1:]:
        separator = " " if part.startswith("+") else "   "
        if len(lines[-1]) + len(separator) + len(part) <= width:
            lines[-1] += separator + part
        else:
            lines.append(f"  {part}")
    return [Line(_cut(line, width)) for line in lines]


def _wrapped_words(text: str, width: int) -> list[Line]:
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(f"  {word}")
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip() if len(lines) == 1 else f"{lines[-1]} {word}"
    return [Line(_cut(line, width)) for line in lines]


def _shortened(name: str, width: int) -> str:
    """Returns a name cut in its middle, since ids differ at the end."""
    if len(name) <= width:
        return name
    tail = (width - 1) * 2 // 3
    return f"{name[: width - 1 - tail]}…{name[-tail:]}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _natural(text: str) -> list[tuple[int, str]]:
    """Returns a key that puts `actor-2` before `actor-10`."""
    parts: list[tuple[int, str]] = []
    number = ""
    for char in f"{text}\0":
        if char.isdigit():
            number += char
            continue
        if number:
            parts.append((int(number), ""))
            number = ""
        parts.append((-1, char))
    return parts


def _printable(text: str) -> str:
    """Keeps a peer's control characters from the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)
