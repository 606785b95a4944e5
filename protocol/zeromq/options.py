"""ZeroMQ options of every network socket: detection of dead connections, and reconnection."""

from __future__ import annotations

from types import MappingProxyType

CONNECTION_OPTIONS = MappingProxyType(
    {
        # A cut cable sends nothing: a connection is closed when sent data, or a probe of an idle
        # connection, has not been acknowledged for six seconds. A peer that only hangs keeps its
        # connection, since its kernel answers; ZMTP heartbeats would close that one as well.
        "TCP_KEEPALIVE": 1,
        "TCP_KEEPALIVE_IDLE": 2,
        "TCP_KEEPALIVE_INTVL": 1,
        "TCP_KEEPALIVE_CNT": 4,
        "TCP_MAXRT": 6000,
    }
)
"""By name; in seconds, as a number of probes, and in milliseconds for the last one."""

RECONNECT_OPTIONS = MappingProxyType(
    {"RECONNECT_IVL": 100, "RECONNECT_IVL_MAX": 1000, "CONNECT_TIMEOUT": 2000}
)
"""For the side that connects, in milliseconds; TCP itself would wait longer at each attempt."""
