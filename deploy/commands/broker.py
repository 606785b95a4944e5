"""`headrace broker`."""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import zmq

from headrace.broker.access.policing import PolicingLimits
from headrace.broker.config import BrokerConfig, RouterConfig
from headrace.broker.monitoring.http_address import HttpAddress
from headrace.broker.monitoring.status_reader import StatusReader
from headrace.broker.monitoring.status_server import StatusServer
from headrace.broker.service import BrokerService
from headrace.deploy import options
from headrace.deploy.guard import BrokerGuard
from headrace.deploy.logging_options import log_options
from headrace.deploy.loopback import require_loopback
from headrace.deploy.numbers import NumberRange
from headrace.deploy.process import (
    announce,
    on_stop_signal,
    raise_open_files_limit,
)
from headrace.protocol.endpoints import DEFAULT_ADDRESS, BrokerAddress
from headrace.protocol.limits import DEFAULT_LIMITS, MIB

_LOG = logging.getLogger("headrace.broker")
_MAX_MEMORY = "--max-memory-mib"


@click.command()
@click.option(
    "--address",
    default=DEFAULT_ADDRESS,
    show_default=True,
    help="Where to listen: a base address (four consecutive ports; port 0: any), or all four.",
)
@click.option(
    "--http",
    "http_address",
    default="127.0.0.1:5560",
    show_default=True,
    help="host:port of /health, /status and /metrics, or a local port; '' for none.",
)
@click.option(
    "--announce",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the addresses to this JSON file once they are bound.",
)
@click.option(
    "--drain-s",
    default=5.0,
    show_default=True,
    help="How long the learner may still take queued batches after SIGTERM.",
)
@click.option(
    "--journal",
    type=click.Path(file_okay=False),
    help="Store accepted batches in this folder, so that actors may exit before a learner joins.",
)
@click.option(
    "--journal-bytes",
    type=click.IntRange(min=1),
    default=16 * 1024 * MIB,
    show_default="16 GiB",
    help="At this size no batch is accepted until others have been trained on.",
)
@click.option(
    "--dead-letters",
    default="headrace-dead-letters",
    show_default=True,
    type=click.Path(dir_okay=False),
    help="File for batches that learners crashed on; see `headrace dead-letters`.",
)
@click.option(
    "--keys",
    type=click.Path(file_okay=False),
    help="Folder made by `headrace keygen`: admit only invited peers, and encrypt traffic.",
)
@click.option(
    "--max-payload-bytes",
    type=click.IntRange(1024, 2**40),
    default=DEFAULT_LIMITS.max_payload_bytes,
    show_default="256 MiB",
    help="Largest batch or set of weights that is accepted.",
)
@click.option(
    "--max-held-bytes",
    type=click.IntRange(MIB, 2**40),
    show_default="384 MiB",
    help="Batches that may be queued or leased; actors get no credit beyond it.",
)
@click.option(
    "--forget-s",
    type=NumberRange(min=10.0),
    default=RouterConfig().forget_s,
    show_default=True,
    help="Remove an actor from the status after this time without a message; it may return.",
)
@click.option(
    _MAX_MEMORY,
    "max_memory_mib",
    type=click.IntRange(min=128),
    help="Kill and restart the broker when it uses more; this loses nothing.",
)
@click.option(
    "--max-bytes-per-s",
    type=NumberRange(min=1.0),
    default=float("inf"),
    help="Bytes per second that each key may send, on average; default: no limit.",
)
@click.option(
    "--max-messages-per-s",
    type=NumberRange(min=1.0),
    default=float("inf"),
    help="Messages per second that each key may send, on average; default: no limit.",
)
@click.option(
    "--insecure",
    is_flag=True,
    help="Serve other machines without keys: nothing is encrypted or authenticated.",
)
@options.stop_on_eof
@log_options
def command(**options: Any) -> None:
    """Routes trajectories from actors to a learner, and weights back."""
    given = _Options(**options)
    if given.max_memory_mib is None:
        _serve(given)
    else:
        _guard(given, given.max_memory_mib)


@dataclass(frozen=True)
class _Options:
    """The command line's options."""

    address: str
    http_address: str
    announce: Path | None
    drain_s: float
    journal: str | None
    journal_bytes: int
    dead_letters: str
    keys: str | None
    max_payload_bytes: int
    max_held_bytes: int | None
    forget_s: float
    max_memory_mib: int | None
    max_bytes_per_s: float
    max_messages_per_s: float
    insecure: bool
    stop_on_eof: bool


def _guard(options: _Options, max_memory_mib: int) -> None:
    arguments = sys.argv[sys.argv.index("broker") + 1 :]
    place = next(i for i, argument in enumerate(arguments) if argument.startswith(_MAX_MEMORY))
    del arguments[place : place + (1 if "=" in arguments[place] else 2)]
    if options.max_held_bytes is None:  # else a slow learner would have it killed again and again
        most = min(RouterConfig().max_held_bytes, max_memory_mib * MIB // 2)
        arguments += ["--max-held-bytes", str(most)]
    guard = BrokerGuard(arguments, max_memory_mib * MIB, options.announce)
    on_stop_signal(guard.stop, stop_on_eof=options.stop_on_eof)
    raise SystemExit(guard.run())


def _serve(options: _Options) -> None:
    raise_open_files_limit()
    if not options.keys and not options.insecure:
        require_loopback(dataclasses.astuple(BrokerAddress.parse(options.address)))
        if options.http_address:
            http_address = HttpAddress.parse(options.http_address)
            require_loopback([f"tcp://{http_address}"], "serve status on 127.0.0.1")
    config = BrokerConfig(
        address=options.address,
        http_address=options.http_address,
        drain_s=options.drain_s,
        keys=options.keys or "",
        journal=options.journal or "",
        journal_bytes=options.journal_bytes,
        dead_letters=options.dead_letters,
        router=RouterConfig(
            forget_s=options.forget_s,
            max_held_bytes=options.max_held_bytes or RouterConfig().max_held_bytes,
            limits=dataclasses.replace(DEFAULT_LIMITS, max_payload_bytes=options.max_payload_bytes),
            policing=PolicingLimits(
                messages_per_s=options.max_messages_per_s, bytes_per_s=options.max_bytes_per_s
            ),
        ),
    )
    service = BrokerService(config, zmq.Context())
    on_stop_signal(service.stop, stop_on_eof=options.stop_on_eof)
    reader = StatusReader(service, time.monotonic)
    http = StatusServer(options.http_address, reader) if options.http_address else None
    if http is not None:
        http.start()
    _LOG.info("listening at %s", service.address)
    if http is not None:
        _LOG.info("status at %s", http.url)
    if options.announce is not None:
        announce(
            options.announce,
            {"address": str(service.address), "http": http.url if http else None},
        )
    service.run()
    if http is not None:
        http.close()
    _LOG.info("stopped")
