"""The folder of a run: config, checkpoints, metrics, TensorBoard events, curve, summary."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
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
    """headrace's part of a line of `metrics.jsonl`; RLlib's result is its `rllib`.

    Attributes:
        wall_s: seconds since the first data, including those before a resume.
    """

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
        wall_s: seconds since the first data, including those before a resume.
        policy_lag_mean, policy_lag_p99: over the env steps that the last process trained on.
        waiting_share: share of its time since the first data in which `sample()` waited.
        batches: the fleet's ledger at the end.
        stopped_by: the criterion that ended the run, or "request"; "running" until then.
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
    """headrace's state beside RLlib's checkpoint.

    Attributes:
        episode_return_mean: that of the iteration; the best checkpoint has the highest.
    """

    iteration: int
    env_steps: int
    wall_s: float
    epoch: int
    episode_return_mean: float | None = None


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
        self._resume = resume
        self._owner = secrets.token_bytes(8)
        self._tensorboard: SummaryWriter | None = None

    def open(self) -> None:
        """Takes ownership; nothing is written before.

        Raises:
            ConfigError: the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _replace(self.path / _OWNER_FILE, self._owner)
            if self._resume:
                self._cut_metrics()
            self._tensorboard = SummaryWriter(str(self.path / "tensorboard"), flush_secs=5)
        except OSError as error:
            raise ConfigError(f"cannot write the run folder {self.path}: {error}") from error

    def require_writable(self) -> None:
        """Creates the folder if it is missing.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise ConfigError(f"cannot write the run folder {self.path}: {error}") from error

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Writes the effective config as JSON."""
        self._require_ownership()
        encoded = msgspec.json.format(msgspec.json.encode(config), indent=2)
        _replace(self.path / "config.json", encoded)

    def add_metrics(self, metrics: IterationMetrics, numbers: Mapping[str, float]) -> None:
        """Appends an iteration to `metrics.jsonl` and the TensorBoard events.

        Args:
            numbers: RLlib's result, by path.
        """
        self._require_ownership()
        own: dict[str, Any] = msgspec.to_builtins(metrics)
        line = msgspec.json.encode({**own, "rllib": numbers})
        with self._metrics.open("ab") as file:
            file.write(line + b"\n")
        tensorboard = self._tensorboard
        if tensorboard is None:
            return
        ledger = {f"batches/{name}": count for name, count in own.pop("batches").items()}
        for name, value in {**own, **ledger}.items():
            if value is not None:
                tensorboard.add_scalar(f"headrace/{name}", value, metrics.env_steps)
        for name, value in numbers.items():
            tensorboard.add_scalar(f"rllib/{name}", value, metrics.env_steps)

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
        """Renames a finished checkpoint to its final path; keeps the newest ones and the best."""
        self._require_ownership()
        shutil.rmtree(final, ignore_errors=True)
        os.replace(temporary, final)
        best = self.best_checkpoint()
        for old in self._checkpoints()[:-_KEPT_CHECKPOINTS]:
            if best is None or old != best[0]:
                shutil.rmtree(old)

    def newest_checkpoint(self) -> tuple[Path, CheckpointState] | None:
        """Returns the newest checkpoint and its state, None if there is none."""
        checkpoints = self._checkpoints()
        return (checkpoints[-1], _state_of(checkpoints[-1])) if checkpoints else None

    def best_checkpoint(self) -> tuple[Path, CheckpointState] | None:
        """Returns the checkpoint with the highest mean return, the newest of several."""
        best: tuple[Path, CheckpointState] | None = None
        highest = float("-inf")
        for path in self._checkpoints():
            state = _state_of(path)
            if state.episode_return_mean is not None and state.episode_return_mean >= highest:
                best, highest = (path, state), state.episode_return_mean
        return best

    def close(self) -> None:
        """Closes the TensorBoard events."""
        if self._tensorboard is not None:
            self._tensorboard.close()

    def _require_ownership(self) -> None:
        if (self.path / _OWNER_FILE).read_bytes() != self._owner:
            raise RefusedError(
                RejectCode.SUPERSEDED,
                "another process has resumed the run",
                f"the run folder {self.path}",
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


def _state_of(checkpoint: Path) -> CheckpointState:
    path = checkpoint / _STATE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=CheckpointState)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f"{checkpoint} is not a checkpoint of `headrace learner`: {path.name} cannot be read "
            f"({error}); remove the folder to resume from an earlier one"
        ) from error


def _is_up_to(line: bytes, iteration: int) -> bool:
    try:
        return msgspec.json.decode(line, type=IterationMetrics).iteration <= iteration
    except msgspec.DecodeError:
        return False  # cut off by a kill


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)
