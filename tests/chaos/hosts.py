"""Virtual hosts on this machine: network namespaces, joined by a bridge.

Needs root and iproute2. Nothing outside the namespaces is changed, and they are deleted again.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import Self

_PREFIX = f"hr{os.getpid()}"


class Hosts:
    """Namespaces with an address each, 10.211.0.1 and up; the switch has a namespace too."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._switch = f"{_PREFIX}-switch"

    def __enter__(self) -> Self:
        _ip("netns", "add", self._switch)
        try:
            self._in(self._switch, "link", "add", "bridge", "type", "bridge")
            self._in(self._switch, "link", "set", "bridge", "up")
            for index, name in enumerate(self._names, start=1):
                self._add(name, index)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in [*map(self.namespace, self._names), self._switch]:
            _ip("netns", "delete", name, check=False)

    def namespace(self, name: str) -> str:
        """Returns the name of a host's namespace."""
        return f"{_PREFIX}-{name}"

    def address(self, name: str) -> str:
        """Returns a host's address."""
        return f"10.211.0.{self._names.index(name) + 1}"

    def running(self, name: str) -> list[str]:
        """Returns the command line prefix that runs a program on a host."""
        return ["ip", "netns", "exec", self.namespace(name)]

    def cut(self, name: str) -> None:
        """Unplugs a host at the switch: both sides still see a link, but nothing passes."""
        self._in(self._switch, "link", "set", f"port{self._names.index(name)}", "nomaster")

    def unplug(self, name: str) -> None:
        """Takes a host's own link down, which it notices at once."""
        self._in(self.namespace(name), "link", "set", "eth0", "down")

    def heal(self, name: str) -> None:
        """Reverses `cut` and `unplug`."""
        port = f"port{self._names.index(name)}"
        self._in(self._switch, "link", "set", port, "master", "bridge")
        self._in(self.namespace(name), "link", "set", "eth0", "up")

    def _add(self, name: str, index: int) -> None:
        namespace, port = self.namespace(name), f"port{index - 1}"
        _ip("netns", "add", namespace)
        self._in(namespace, "link", "set", "lo", "up")
        self._in(namespace, "link", "add", "eth0", "type", "veth", "peer", "name", port)
        self._in(namespace, "link", "set", port, "netns", self._switch)
        self._in(namespace, "address", "add", f"10.211.0.{index}/24", "dev", "eth0")
        self._in(namespace, "link", "set", "eth0", "up")
        self._in(self._switch, "link", "set", port, "master", "bridge", "up")

    def _in(self, namespace: str, *arguments: str) -> None:
        _ip("-netns", namespace, *arguments)


def are_available() -> bool:
    """Returns whether namespaces can be created on this machine."""
    probe = f"{_PREFIX}-probe"
    try:
        _ip("netns", "add", probe)
        _ip("netns", "delete", probe)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True)
