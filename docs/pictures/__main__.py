"""Draws all pictures into this folder."""

from __future__ import annotations

from pathlib import Path

from docs.pictures import batch, delivery, policy, processes

PICTURES = {
    "processes.svg": processes.draw,
    "batch.svg": batch.draw,
    "policy.svg": policy.draw,
    "delivery.svg": delivery.draw,
}
FOLDER = Path(__file__).parent


def main() -> None:
    """Writes the files."""
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw())


if __name__ == "__main__":
    main()
