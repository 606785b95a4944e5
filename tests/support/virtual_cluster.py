"""A Ray cluster of two virtual hosts on this machine, one of which can be cut off.

Beside its network, each host has its own /tmp, /dev/shm, processes and host name, so Ray's parts on
one share nothing with those on the other but the installed packages. Needs root, iproute2 and
util-linux.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil
from chaos.hosts import Hosts

from support.machine import scaled

_CHECKOUT = Path(__file__).resolve().parents[2]
_PORT = 6379
_START_TIMEOUT_S = 90.0
_END_TIMEOUT_S = 20.0
_OWN = ("/tmp", "/dev/shm")  # noqa: S108 # those of a host
_SPACES = ["--mount", "--uts", "--ipc", "--pid"]
_UNSHARE = ["unshare", *_SPACES, "--fork", "--kill-child", "--mount-proc"]
_PATIENCE = {
    "RAY_health_check_failure_threshold": "30",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
    "RAY_grpc_keepalive_timeout_ms": "300000",
    "RAY_grpc_client_keepalive_timeout_ms": "300000",
}
"""Lets Ray wait for a host that is cut off; by itself it gives one up in less than 40 s."""


class Host:
    """A virtual host of `Hosts`; what runs there ends with this process, at the latest."""

    def __init__(self, hosts: Hosts, name: str, folder: Path, *, sees_folder: bool) -> None:
        """Takes what it will start with.

        Args:
            folder: where programs run; another one that is empty, unless the host `sees_folder`.
        """
        self.name = name
        self.address = hosts.address(name)
        self._enter = hosts.running(name)
        self._folder = folder
        self._seen = [_CHECKOUT, Path(sys.prefix), *([folder] if sees_folder else [])]
        self._stack = ExitStack()
        self._first: psutil.Process | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            holder = subprocess.Popen(
                [*self._enter, *_UNSHARE, "sh", "-c", self._script()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(holder)
            stack.callback(holder.kill)
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n", f"no host {self.name}"
            (self._first,) = psutil.Process(holder.pid).children()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        assert not psutil.wait_procs([self.first], timeout=scaled(_END_TIMEOUT_S))[1]

    @property
    def first(self) -> psutil.Process:
        """The first process, with which all others end."""
        assert self._first is not None
        return self._first

    def running(self, environment: Mapping[str, str]) -> list[str]:
        """Returns the command line prefix that runs a program in this host's folder."""
        settings = [f"{name}={value}" for name, value in environment.items()]
        enter = ["nsenter", "--target", str(self.first.pid), "--net", *_SPACES, "--"]
        return [*enter, "env", "-C", str(self._folder), *settings]

    def ray_processes(self) -> set[str]:
        """Returns the kinds of Ray's workers here, such as `BrokerEnvRunner`."""
        titles: list[str] = []
        for process in self.first.children(recursive=True):
            try:
                titles.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        found = [re.match(r"ray::(\w+)", title) for title in titles]
        return {match[1] for match in found if match is not None}

    def _script(self) -> str:
        """Returns what the first process does: it mounts, and reaps until this process ends.

        A shell reaps what others leave behind. To Ray, a raylet that is a zombie would be alive.
        """
        folder = shlex.quote(str(self._folder))
        steps = [f"hostname {self.name}", "mount -t tmpfs kept /mnt"]
        for index, path in enumerate(self._seen):
            steps.append(f"mkdir /mnt/{index}")
            steps.append(f"mount --rbind {shlex.quote(str(path))} /mnt/{index}")
        steps += [f"mount -t tmpfs -o mode=1777 own {path}" for path in _OWN]
        steps += [f"mkdir -p {folder}", f"mount -t tmpfs own {folder}"]
        for index, path in enumerate(self._seen):
            steps.append(f"mkdir -p {shlex.quote(str(path))}")
            steps.append(f"mount --rbind /mnt/{index} {shlex.quote(str(path))}")
        return f"{' && '.join(steps)} && echo ready && cat; exit"


class Cluster:
    """Ray on the hosts `head` and `second`, each with the resources `runner` and `learner`, 1 each.

    The hosts `broker` and `actors` have a network of their own only, and see all files.

    Attributes:
        folder: where programs run; on `second` it is another one, which is empty.
        hosts: cuts hosts off.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts = Hosts(["head", "second", "broker", "actors"])
        self.head = Host(self.hosts, "head", folder, sees_folder=True)
        self.second = Host(self.hosts, "second", folder, sees_folder=False)
        self._stack = ExitStack()
        self._environment = {
            "HOME": _OWN[0],
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "eth0",
            # Each host says it: by itself, only the head looks whether there is a token.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            **_PATIENCE,
        }

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for part in (self.hosts, self.head, self.second):
                stack.enter_context(part)
            self._start_ray(self.head, "--head", f"--port={_PORT}", "--include-dashboard=false")
            self._start_ray(self.second, f"--address={self.address}")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def address(self) -> str:
        """The address of Ray's head."""
        return f"{self.head.address}:{_PORT}"

    def driving(self) -> list[str]:
        """Returns the command line prefix that runs a program on the head, which joins Ray."""
        return self.head.running({**self._environment, "RAY_ADDRESS": self.address})

    def ray_processes(self) -> list[set[str]]:
        """Returns the kinds of Ray's workers on the head and on the other host."""
        return [self.head.ray_processes(), self.second.ray_processes()]

    def _start_ray(self, host: Host, *options: str) -> None:
        ray = [str(Path(sys.executable).parent / "ray"), "start", *options]
        settings = [
            f"--node-ip-address={host.address}",
            f"--resources={json.dumps({'runner': 1, 'learner': 1})}",
            "--num-cpus=4",
            "--object-store-memory=200000000",
            "--include-log-monitor=false",
            "--disable-usage-stats",
        ]
        done = subprocess.run(
            [*host.running(self._environment), *ray, *settings],
            env=os.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=scaled(_START_TIMEOUT_S),
        )
        assert done.returncode == 0, done.stdout
