"""Where the status is served."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.protocol.errors import ConfigError

_LOOPBACK = "127.0.0.1"
_LAST_PORT = 65_535


@dataclass(frozen=True)
class HttpAddress:
    """Host and port of an HTTP server; port 0 lets the system choose.

    Attributes:
        host: a name, an IPv4 or an IPv6 address, without brackets.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> HttpAddress:
        """Returns the address in `host:port`, `[IPv6]:port`, or `port` for this machine alone.

        Raises:
            ConfigError: it is none of these.
        """
        host, colon, port = text.removeprefix("http://").rstrip("/").rpartition(":")
        is_bracketed = host.startswith("[") and host.endswith("]")
        is_plain = ":" not in host and not host.startswith("[") and not host.endswith("]")
        if (
            not (is_bracketed or is_plain)
            or not port.isascii()
            or not port.isdigit()
            or int(port) > _LAST_PORT
            or (colon and not host.strip("[]"))
        ):
            raise ConfigError(
                f"--http {text}: cannot serve status there; write host:port, such as "
                "127.0.0.1:5560 or [::1]:5560, a port alone for this machine only, or '' for none"
            )
        return cls(host.strip("[]") or _LOOPBACK, int(port))

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is an IPv6 address."""
        return ":" in self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"
