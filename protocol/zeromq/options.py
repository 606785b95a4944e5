"""ZeroMQ options of every socket that crosses a network: how a dead connection is noticed."""

from __future__ import annotations

from types import MappingProxyType

CONNECTION_OPTIONS = MappingProxyType(
    {
        # A cable that is cut says nothing: a connection is given up when what was sent, or a probe
        # in silence, has not been answered for six seconds. A peer that only hangs keeps its own,
        # since its kernel answers; heartbeats of ZMTP would end that one too.
        "TCP_KEEPALIVE": 1,
        "TCP_KEEPALIVE_IDLE": 2,
        "TCP_KEEPALIVE_INTVL": 1,
        "TCP_KEEPALIVE_CNT": 4,
        "TCP_MAXRT": 6000,
    }
)
"""By name; seconds, probes, and milliseconds for the last one."""

RECONNECT_OPTIONS = MappingProxyType(
    {"RECONNECT_IVL": 100, "RECONNECT_IVL_MAX": 1000, "CONNECT_TIMEOUT": 2000}
)
"""For the side that connects, in milliseconds; by itself TCP would wait longer at each attempt."""
