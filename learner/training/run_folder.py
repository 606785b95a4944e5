"""The folder of a run: config, checkpoints, metrics, TensorBoard events, curve, summary."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from tensorboardX import SummaryWriter

from headrace.protocol.errors import ConfigError, RefusedError, RejectCode
from headrace.protocol.messages import Ledger

_KEPT_CHECKPOINTS = 3
_STATE_FILE = "headrace.json"
_OWNER_FILE = ".owner"


class IterationMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `metrics.jsonl`."""

    iteration: int
    env_steps: int
    wall_s: float
    episode_return_mean: float | None
    episode_len_mean: float | None
    policy_lag_mean: float | None
    queue_env_steps: int
    evaluation_return_mean: float | None = None
    wait_s: float
    update_s: float
    batches: Ledger


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`summary.json`.

    Attributes:
        episode_return_mean: that of the last iteration.
        wall_s: seconds from the learner's start to its end, including earlier processes.
        policy_lag_mean, policy_lag_p99: over the env steps that the last process trained on.
        waiting_share: share of its time since the first data in which `sample()` waited.
        batches: the fleet's ledger at the end.
        stopped_by: the criterion that ended the run, or "request".
    """

    name: str
    episode_return_mean: float | None
    env_steps: int
    wall_s: float
    policy_lag_mean: float | None
    policy_lag_p99: int | None
    waiting_share: float
    batches: Ledger
    stopped_by: str


class CheckpointState(msgspec.Struct, frozen=True):
    """headrace's state beside RLlib's checkpoint."""

    iteration: int
    env_steps: int
    wall_s: float
    epoch: int


class RunFolder:
    """Writes a run's files; files are replaced atomically.

    The process that opened a folder last owns it. A process that was presumed dead and comes back
    gets a RefusedError from every method that writes, instead of mixing its checkpoints with its
    successor's.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        self._metrics = path / "metrics.jsonl"
        if self._metrics.exists() and not resume:
            raise ConfigError(
                f"{path} already contains a run; resume it (--resume), remove it, or choose "
                "another [run] name"
            )
        path.mkdir(parents=True, exist_ok=True)
        self._owner = secrets.token_bytes(8)
        _replace(path / _OWNER_FILE, self._owner)
        if resume:
            self._cut_metrics()
        self._tensorboard = SummaryWriter(str(path / "tensorboard"), flush_secs=5)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Writes the effective config as JSON."""
        self._require_ownership()
        encoded = msgspec.json.format(msgspec.json.encode(config), indent=2)
        _replace(self.path / "config.json", encoded)

    def add_metrics(self, metrics: IterationMetrics) -> None:
        """Appends an iteration to `metrics.jsonl` and the TensorBoard events."""
        self._require_ownership()
        with self._metrics.open("ab") as file:
            file.write(msgspec.json.encode(metrics) + b"\n")
        for name, value in msgspec.to_builtins(metrics).items():
            if isinstance(value, int | float):
                self._tensorboard.add_scalar(f"headrace/{name}", value, metrics.env_steps)

    def read_metrics(self) -> list[IterationMetrics]:
        """Returns all iterations so far, including those before a resume."""
        if not self._metrics.exists():
            return []
        return msgspec.json.Decoder(IterationMetrics).decode_lines(self._metrics.read_bytes())

    def write_summary(self, summary: Summary) -> None:
        """Writes `summary.json`."""
        self._require_ownership()
        encoded = msgspec.json.format(msgspec.json.encode(summary), indent=2)
        _replace(self.path / "summary.json", encoded)

    def new_checkpoint(self, state: CheckpointState) -> tuple[Path, Path]:
        """Returns a temporary folder to save to, and its final path for `keep_checkpoint`."""
        final = self.path / "checkpoints" / f"{state.iteration:06d}"
        temporary = final.with_name(f".{final.name}.part")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        (temporary / _STATE_FILE).write_bytes(msgspec.json.encode(state))
        return temporary, final

    def keep_checkpoint(self, temporary: Path, final: Path) -> None:
        """Renames a finished checkpoint to its final path, and removes the oldest ones."""
        self._require_ownership()
        shutil.rmtree(final, ignore_errors=True)
        os.replace(temporary, final)
        for old in self._checkpoints()[:-_KEPT_CHECKPOINTS]:
            shutil.rmtree(old)

    def newest_checkpoint(self) -> tuple[Path, CheckpointState] | None:
        """Returns the newest checkpoint and its state, None if there is none."""
        checkpoints = self._checkpoints()
        if not checkpoints:
            return None
        encoded = (checkpoints[-1] / _STATE_FILE).read_bytes()
        return checkpoints[-1], msgspec.json.decode(encoded, type=CheckpointState)

    def close(self) -> None:
        """Closes the TensorBoard events."""
        self._tensorboard.close()

    def _require_ownership(self) -> None:
        if (self.path / _OWNER_FILE).read_bytes() != self._owner:
            raise RefusedError(
                RejectCode.SUPERSEDED, f"another process has resumed the run in {self.path}"
            )

    def _cut_metrics(self) -> None:
        """Removes iterations after the newest checkpoint: they are trained again."""
        newest = self.newest_checkpoint()
        last = newest[1].iteration if newest is not None else 0
        if self._metrics.exists():
            lines = self._metrics.read_bytes().splitlines(keepends=True)
            _replace(self._metrics, b"".join(line for line in lines if _is_up_to(line, last)))

    def _checkpoints(self) -> list[Path]:
        return sorted((self.path / "checkpoints").glob("[0-9]*"))


def _is_up_to(line: bytes, iteration: int) -> bool:
    try:
        return msgspec.json.decode(line, type=IterationMetrics).iteration <= iteration
    except msgspec.DecodeError:
        return False  # cut off by a kill


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)
