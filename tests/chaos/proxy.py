"""A TCP proxy that simulates a bad network."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass

_CHUNK_BYTES = 65_536


@dataclass(frozen=True)
class Weather:
    """Faults of the simulated network.

    Attributes:
        latency_s: the delay of each slice.
        slice_bytes: the largest slice; sizes are random up to this.
        bytes_per_s: the rate of one direction of one connection.
        resets_per_s: how often one connection is reset.
        swallows: existing connections stay open, but deliver nothing more.
        refuses: new connections are closed at once.
    """

    latency_s: float = 0.0
    slice_bytes: int = _CHUNK_BYTES
    bytes_per_s: float = float("inf")
    resets_per_s: float = 0.0
    swallows: bool = False
    refuses: bool = False


CLEAR = Weather()


def random_weather(rng: random.Random) -> Weather:
    """Returns one kind of fault, or two at once."""
    kinds: tuple[dict[str, float], ...] = (
        {"latency_s": rng.uniform(0.001, 0.2)},
        {"slice_bytes": rng.choice((1, 7, 100, 1500))},
        {"bytes_per_s": rng.uniform(20_000, 500_000)},
        {"resets_per_s": rng.uniform(0.2, 3.0)},
        {"swallows": True},
        {"refuses": True, "resets_per_s": 2.0},
    )
    chosen: dict[str, float] = {}
    for kind in rng.sample(kinds, rng.choice((1, 1, 2))):
        chosen |= kind
    return Weather(**chosen)  # type: ignore[arg-type]


class ChaosProxy:
    """Forwards from its own ports to the targets; runs in a thread."""

    def __init__(self, targets: Sequence[int], seed: int) -> None:
        self._targets = targets
        self._rng = random.Random(seed)
        self._weather = CLEAR
        self._pumps: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-proxy")
        self._thread.start()
        opened = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        self._servers = opened.result(10.0)
        self.ports = [server.sockets[0].getsockname()[1] for server in self._servers]

    def set_weather(self, weather: Weather) -> None:
        """Changes the weather for bytes in transit and later ones."""
        self._weather = weather

    def close(self) -> None:
        """Cuts all connections and ends the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)
        self._loop.close()

    # ---------------------------------------------------------------- in the thread

    async def _open(self) -> list[asyncio.Server]:
        return [
            await asyncio.start_server(functools.partial(self._accept, target), "127.0.0.1", 0)
            for target in self._targets
        ]

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _accept(
        self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._weather.refuses:
            writer.transport.abort()
            return
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.transport.abort()
            return
        pumps = (
            asyncio.ensure_future(self._pump(reader, target_writer)),
            asyncio.ensure_future(self._pump(target_reader, writer)),
            asyncio.ensure_future(self._reset_some_day()),
        )
        self._pumps.update(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            self._pumps.difference_update(pumps)
            writer.transport.abort()
            target_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_swallowed = False
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                is_swallowed |= self._weather.swallows  # for ever: its other side has gone
                await asyncio.sleep(self._weather.latency_s)
                while data and not is_swallowed:
                    weather = self._weather
                    size = self._rng.randint(1, min(weather.slice_bytes, len(data)))
                    await asyncio.sleep(size / weather.bytes_per_s)
                    writer.write(data[:size])
                    await writer.drain()
                    data = data[size:]

    async def _reset_some_day(self) -> None:
        step_s = 0.05
        while self._rng.random() >= self._weather.resets_per_s * step_s:
            await asyncio.sleep(step_s)
