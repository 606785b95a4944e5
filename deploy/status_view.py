"""A broker's status, fetched over HTTP and rendered for a terminal."""

from __future__ import annotations

import urllib.request
from http.client import HTTPException

import msgspec
from rich.console import Group
from rich.table import Table
from rich.text import Text

from headrace.broker.routing.status import ActorStatus, BrokerStatus
from headrace.protocol.errors import HeadraceError

_TIMEOUT_S = 3.0
_SHOWN_ACTORS = 40


class BrokerUnreachableError(HeadraceError):
    """Raised when no broker answers over HTTP."""


def fetch_status(url: str) -> BrokerStatus:
    """Returns the status of the broker whose HTTP server is at `url`.

    Raises:
        BrokerUnreachableError: nothing responds there, or it is not a broker.
    """
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/status", timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the operator's own address
            return msgspec.json.decode(answer.read(), type=BrokerStatus)
    except (OSError, ValueError, HTTPException, msgspec.MsgspecError) as error:
        raise BrokerUnreachableError(
            f"no broker answers at {url}: {error}; is it running, and is --http its address?"
        ) from error


def render_status(status: BrokerStatus) -> Group:
    """Returns the status as tables."""
    parts: list[Table | Text] = [Text(_headline(status)), Text(_learner_line(status))]
    parts.append(_actor_table(status))
    if len(status.actors) > _SHOWN_ACTORS:
        parts.append(Text(f"… and {len(status.actors) - _SHOWN_ACTORS} more"))
    parts += [
        Text(f"{actor.actor}: {actor.advice}", style="yellow")
        for actor in status.actors[:_SHOWN_ACTORS]
        if actor.advice
    ]
    parts.append(Text(_ledger_line(status)))
    if status.rejects:
        counts = ", ".join(f"{code} {count}" for code, count in sorted(status.rejects.items()))
        parts.append(Text(f"rejects  {counts}", style="yellow"))
    for peer in status.quarantined:
        text = f"quarantine  {peer.name}: discarding its messages for another {peer.left_s:.0f} s"
        parts.append(Text(text, style="red"))
    return Group(*parts)


def _headline(status: BrokerStatus) -> str:
    steps_per_s = sum(actor.steps_per_s for actor in status.actors)
    task = "" if status.task is None else f"task {_printable(status.task)}  "
    return (
        f"run {status.run or '-'}  policy {status.version or '-'}  {task}"
        f"{steps_per_s:,.0f} env steps/s  queue {status.queue_env_steps:,} env steps "
        f"({status.queue_batches} batches)  up {status.uptime_s:.0f} s"
    )


def _learner_line(status: BrokerStatus) -> str:
    if not status.learners:
        return "learner  none is connected"
    lines: list[str] = []
    for learner in status.learners:
        progress = learner.progress
        training = "no iteration yet"
        if progress is not None:
            returned = progress.episode_return_mean
            training = (
                f"iteration {progress.iteration}  {progress.env_steps:,} env steps  "
                f"return {'-' if returned is None else f'{returned:.1f}'}"
            )
        lines.append(f"learner {learner.worker_index} on {learner.host}  {training}")
    return "\n".join(lines)


def _actor_table(status: BrokerStatus) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("actor")
    for name in ("steps/s", "unrecorded", "policy", "lag", "credit", "produced", "unaccepted"):
        table.add_column(name, justify="right")
    for name in ("stale", "rejected"):
        table.add_column(name, justify="right")
    table.add_column("last reject", max_width=40, no_wrap=True)
    for actor in status.actors[:_SHOWN_ACTORS]:
        table.add_row(*_actor_row(actor), style=None if actor.is_live else "dim")
    return table


def _actor_row(actor: ActorStatus) -> list[str]:
    return [
        _printable(actor.actor),
        f"{actor.steps_per_s:,.0f}",
        f"{actor.unrecorded_env_steps:,}",
        actor.version or "-",
        "-" if actor.policy_lag is None else str(actor.policy_lag),
        str(actor.unarrived),
        str(actor.produced),
        str(actor.produced - actor.accepted),
        str(actor.stale),
        str(actor.rejected),
        _printable(actor.last_reject),
    ]


def _ledger_line(status: BrokerStatus) -> str:
    ledger = status.ledger
    return (
        f"batches  {ledger.produced} produced = {ledger.consumed} consumed + "
        f"{ledger.stale} stale + {ledger.rejected} rejected + {ledger.dropped} dropped + "
        f"{ledger.held} held"
    )


def _printable(text: str) -> str:
    """Keeps a peer's control characters from the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)
