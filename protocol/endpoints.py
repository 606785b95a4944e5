"""The four endpoints of a broker, and their text form."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from headrace.protocol.errors import ConfigError

DEFAULT_ADDRESS = "tcp://127.0.0.1:5555"

_TCP = re.compile(
    r"^tcp://(?P<host>\[[0-9A-Za-z:.%]+\]|[0-9A-Za-z][0-9A-Za-z._%-]*|\*):(?P<port>[0-9]{1,5})$"
)
_EVERYWHERE = frozenset({"*", "0.0.0.0", "[::]"})  # noqa: S104 - to refuse them
_TRANSPORT = re.compile(r"^\w+://.")
_LAST_PORT = 65_535
_HELP = (
    "write one base address such as tcp://127.0.0.1:5555 (four consecutive ports), or all four: "
    "ingest=tcp://H:P,control=tcp://H:P,weights=tcp://H:P,learner=tcp://H:P"
)


def require_endpoint(text: str, where: str) -> str:
    """Returns a TCP endpoint or, where libzmq has another transport, its name.

    Args:
        where: the setting, for the error message.

    Raises:
        ConfigError: it has no transport, or its port is invalid.
    """
    if _TRANSPORT.match(text) is None:
        raise ConfigError(f"{where} {text!r} names no transport{meant(text)}")
    match = _TCP.match(text)
    if text.startswith("tcp://") and (match is None or int(match["port"]) > _LAST_PORT):
        raise ConfigError(f"{where} {text!r} is not of the form tcp://host:port")
    return text


def meant(text: str) -> str:
    """Returns a hint if only `tcp://` is missing, else nothing."""
    return f": did you mean tcp://{text}?" if _TCP.match(f"tcp://{text}") is not None else ""


@dataclass(frozen=True)
class BrokerAddress:
    """The ZeroMQ endpoints of one broker.

    Attributes:
        ingest: actors PUSH to it.
        control: actors SUBSCRIBE to delivery states, rejects and the beacon.
        weights: actors SUBSCRIBE to snapshots and weights.
        learner: learners' DEALER sockets connect to it.
    """

    ingest: str
    control: str
    weights: str
    learner: str

    @classmethod
    def parse(cls, text: str) -> BrokerAddress:
        """Returns the four endpoints that `text` names.

        `tcp://H:P` means the four ports from P on; `tcp://H:0` (for binding only) lets the system
        choose each; `name=endpoint,…` names all four, for NAT and port mappings.

        Raises:
            ConfigError: the text has neither form; the message shows both.
        """
        return cls._parse_named(text) if "=" in text else cls._parse_base(text)

    @classmethod
    def _parse_base(cls, text: str) -> BrokerAddress:
        match = _TCP.match(text)
        if match is None:
            hint = meant(text) or f": {_HELP}"
            raise ConfigError(f"{text!r} is not a broker's address{hint}")
        base = int(match["port"])
        if base + 3 > _LAST_PORT:
            raise ConfigError(f"{text!r} needs four consecutive ports below 65536: {_HELP}")
        steps = range(4) if base else (0, 0, 0, 0)
        return cls(*(f"tcp://{match['host']}:{base + step}" for step in steps))

    @classmethod
    def _parse_named(cls, text: str) -> BrokerAddress:
        names = [field.name for field in dataclasses.fields(cls)]
        parts = text.split(",")
        endpoint_by_name = {name: value for name, _, value in (p.partition("=") for p in parts)}
        if endpoint_by_name.keys() != set(names) or len(parts) != len(names):
            raise ConfigError(f"{text!r} does not name each of {', '.join(names)} once: {_HELP}")
        for name, endpoint in endpoint_by_name.items():
            require_endpoint(endpoint, f"the broker's {name} endpoint")
        return cls(**endpoint_by_name)

    @classmethod
    def parse_remote(cls, text: str) -> BrokerAddress:
        """Returns what `parse` does, for those who connect.

        Raises:
            ConfigError: the text has neither form, or only a broker can use it.
        """
        address = cls.parse(text)
        for endpoint in dataclasses.astuple(address):
            match = _TCP.match(endpoint)
            if match is not None and match["host"] in _EVERYWHERE:
                raise ConfigError(
                    f"{text!r} is where a broker listens; to connect, write its host's name or "
                    "address, such as tcp://127.0.0.1:5555"
                )
            if match is not None and int(match["port"]) == 0:
                raise ConfigError(
                    f"{text!r} has port 0, with which a broker chooses its ports; to connect, "
                    "write the port that it logs"
                )
        return address

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in dataclasses.asdict(self).items())
