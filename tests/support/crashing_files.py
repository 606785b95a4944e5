"""A journal's files in memory, with every operation recorded, to simulate a crash anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headrace.broker.state.batch import QueuedBatch
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Trajectories
from headrace.protocol.messages.headers import Frame


@dataclass(frozen=True)
class Operation:
    """An operation on a file; `data` of an append, `size` of a truncation."""

    kind: str
    name: str
    data: bytes = b""
    size: int = 0


class MemoryFiles:
    """`JournalFiles` without a disk. The next append raises `fails`, after writing a part."""

    def __init__(self, content: dict[str, bytes] | None = None) -> None:
        self.content = {name: bytearray(data) for name, data in (content or {}).items()}
        self.operations: list[Operation] = []
        self.set_aside_names: list[str] = []
        self.fails: OSError | None = None

    def names(self) -> list[str]:
        return sorted(self.content)

    def read(self, name: str) -> bytes:
        return bytes(self.content[name])

    def append(self, name: str, pieces: Sequence[Frame]) -> None:
        data = b"".join(bytes(piece) for piece in pieces)
        if self.fails is not None:
            data, failure, self.fails = data[: len(data) // 2], self.fails, None
            self._apply(Operation("append", name, data))
            raise failure
        self._apply(Operation("append", name, data))

    def sync(self, name: str) -> None:
        self._apply(Operation("sync", name))

    def truncate(self, name: str, size_bytes: int) -> None:
        self._apply(Operation("truncate", name, size=size_bytes))

    def remove(self, name: str) -> None:
        self._apply(Operation("remove", name))

    def set_aside(self, name: str) -> None:
        self.set_aside_names.append(name)
        self._apply(Operation("remove", name))

    def _apply(self, operation: Operation) -> None:
        self.operations.append(operation)
        apply(operation, self.content)


def apply(operation: Operation, content: dict[str, bytearray]) -> None:
    match operation.kind:
        case "append":
            content.setdefault(operation.name, bytearray()).extend(operation.data)
        case "truncate":
            del content[operation.name][operation.size :]
        case "remove":
            del content[operation.name]
        case _:
            pass


def crash_points(
    operations: Sequence[Operation],
) -> Iterator[tuple[int, dict[str, bytearray]]]:
    """Yields the files after each operation, and within each append after each of its bytes.

    Also yields the number of operations finished by then.
    """
    content: dict[str, bytearray] = {}
    yield 0, content
    for count, operation in enumerate(operations):
        if operation.kind == "append":
            file = content.setdefault(operation.name, bytearray())
            for position in range(len(operation.data)):
                file.append(operation.data[position])
                yield count + (position == len(operation.data) - 1), content
        else:
            apply(operation, content)
            yield count + 1, content


def make_queued(arrival: int, payload: bytes = b"payload") -> QueuedBatch:
    header = Trajectories(
        actor="a",
        incarnation=1,
        seq=arrival,
        run="r",
        version=PolicyVersion(1, 1),
        env_steps=5,
    )
    return QueuedBatch(arrival, header, payload)
