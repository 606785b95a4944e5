"""The folder of a run, and an earlier run's that `headrace up --overwrite` replaces."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from headrace.protocol.errors import ConfigError

_BEGUN = "config.json"
"""What a learner writes once a run can begin."""


def make_folder(path: Path) -> Path:
    """Makes a folder, if there is none, and returns it.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write the run folder {path}: {error}") from error
    return path


@dataclass(frozen=True)
class FormerRun:
    """An earlier run, kept until the new one has begun.

    Attributes:
        folder: of both.
        kept: where the earlier one is meanwhile.
    """

    folder: Path
    kept: Path

    @classmethod
    def set_aside(cls, folder: Path) -> Self | None:
        """Moves a run's folder away; returns None if there is none.

        A run that was killed before it began leaves its own folder behind, and the earlier one's.

        Raises:
            ConfigError: it cannot be moved.
        """
        kept = folder.with_name(f".{folder.name}.former")
        if not folder.exists() and not kept.exists():
            return None
        try:
            if kept.exists() and not (folder / _BEGUN).exists():
                _remove(folder)
            else:
                _remove(kept)
                folder.rename(kept)
        except OSError as error:
            raise ConfigError(f"cannot replace the run folder {folder}: {error}") from error
        return cls(folder, kept)

    def settle(self) -> None:
        """Removes the earlier run or, if the new one has not begun, moves it back."""
        if not (self.folder / _BEGUN).exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.kept.rename(self.folder)
        else:
            with contextlib.suppress(OSError):  # the next run replaces it
                _remove(self.kept)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
