"""A broker's status, fetched over HTTP and rendered for a terminal."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import BadStatusLine, HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import quote

import msgspec
from rich.console import Console, Group
from rich.text import Text

from headrace.broker.routing.status import BrokerStatus
from headrace.deploy.merged_status import BrokerPart, merged_status
from headrace.deploy.status_screen import Screen, Selection, status_lines
from headrace.protocol.errors import HeadraceError

_TIMEOUT_S = 3.0
_FIRST_BYTE = b"H"
"""Of each HTTP response."""


class BrokerUnreachableError(HeadraceError):
    """Raised when no broker answers over HTTP."""


class _HttpConnection(HTTPConnection):
    """Notices peers that speak ZeroMQ, which may send bytes for ever, but never a line."""

    def getresponse(self) -> HTTPResponse:
        """Returns the response; raises BadStatusLine if it is none."""
        if self.sock.recv(1, socket.MSG_PEEK) not in (_FIRST_BYTE, b""):
            raise BadStatusLine("not HTTP")
        return super().getresponse()


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        """Opens a URL with such a connection."""
        return self.do_open(_HttpConnection, req)


def fetch_status(url: str) -> BrokerStatus:
    """Returns the status of the broker whose HTTP server is at `url`, with all of its actors.

    Raises:
        BrokerUnreachableError: nothing responds there, or it is not a broker.
    """
    try:
        # Never through a proxy, which would not know a broker.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _HttpHandler())
        page = status = _page(opener, url, "")
        actors = list(page.actors)
        while page.more_after is not None:
            page = _page(opener, url, f"?after={quote(page.more_after, safe='')}")
            actors += page.actors
        return msgspec.structs.replace(status, actors=actors, more_after=None)
    except BadStatusLine as error:
        raise BrokerUnreachableError(
            f"{url} does not speak HTTP: it may be one of the broker's ZeroMQ ports; give --http "
            "the broker's status address"
        ) from error
    except (OSError, ValueError, HTTPException, msgspec.MsgspecError) as error:
        raise BrokerUnreachableError(
            f"no broker answers at {url}: {error}; is it running, and is --http its address?"
        ) from error


def _page(opener: urllib.request.OpenerDirector, url: str, query: str) -> BrokerStatus:
    with opener.open(f"{url.rstrip('/')}/status{query}", timeout=_TIMEOUT_S) as answer:
        return msgspec.json.decode(answer.read(), type=BrokerStatus)


@dataclass(frozen=True)
class FleetStatus:
    """The status of one broker, or of several together.

    Attributes:
        brokers: if there are several.
    """

    status: BrokerStatus
    brokers: tuple[BrokerPart, ...] = ()


def fetch_fleet(urls: Sequence[str]) -> FleetStatus:
    """Returns the status of all brokers together; those that do not answer are left out.

    Raises:
        BrokerUnreachableError: none answers.
    """
    if len(urls) == 1:
        return FleetStatus(fetch_status(urls[0]))
    with ThreadPoolExecutor(len(urls)) as executor:
        answers = list(executor.map(_status_or_error, urls))
    if all(isinstance(answer, BrokerUnreachableError) for answer in answers):
        raise BrokerUnreachableError("\n".join(map(str, answers)))
    parts = tuple(
        BrokerPart(
            str(number),
            url.partition("://")[2].rstrip("/"),
            answer if isinstance(answer, BrokerStatus) else None,
        )
        for number, (url, answer) in enumerate(zip(urls, answers, strict=True), start=1)
    )
    return FleetStatus(merged_status(parts), parts)


def _status_or_error(url: str) -> BrokerStatus | BrokerUnreachableError:
    try:
        return fetch_status(url)
    except BrokerUnreachableError as error:
        return error


def render_status(
    fleet: FleetStatus, console: Console, selection: Selection = Selection(), *, is_live: bool
) -> Group:
    """Returns the status for a terminal.

    Args:
        is_live: whether it is redrawn in place, and so must not be higher than the terminal.
    """
    screen = Screen(console.width, console.height if is_live else None)
    lines = status_lines(fleet.status, selection, screen, fleet.brokers)
    return Group(*(Text(line.text, line.style, no_wrap=True) for line in lines))
