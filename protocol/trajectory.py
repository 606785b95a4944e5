"""Columnar trajectory batches: all chunks of a module share one array per column.

A *chunk* is a contiguous slice of one agent's episode. Its first `lookback` rows are context, and
are never trained on. `obs` columns and `env_t` have lookback + length + 1 rows per chunk, the other
columns lookback + length; the rows of consecutive chunks follow one another.

The payload is `{module id: {"chunks": {field: array}, "columns": {name: array}}}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from msgspec import UNSET, UnsetType

from headrace.protocol.arrays import Array
from headrace.protocol.compression import Compression, decompress
from headrace.protocol.ended_episodes import EndedEpisode, ended_from_wire, ended_to_wire
from headrace.protocol.errors import LocalProtocolError, RejectCode, RemoteProtocolError
from headrace.protocol.identity import MAX_SAFE_INTEGER
from headrace.protocol.limits import DEFAULT_LIMITS, DecodeLimits
from headrace.protocol.payload import decode_payload, encode_payload

OBSERVATIONS = "obs"
ACTIONS = "actions"
REWARDS = "rewards"
INFOS = "infos"
ENV_T = "env_t"
"""The env step at which each observation was seen: agents need not act in every one."""

EPISODE_ID_BYTES = 16
LONGEST_CHUNK = 2**31
DEFAULT_AGENT = "default_agent"

INTEGER_FIELDS = (
    "agent",
    "env_t_started",
    "t_started",
    "length",
    "lookback",
    "terminated",
    "truncated",
    "episode_length",
)
"""Columns of a chunk table's `integers`."""
FLOAT_FIELDS = ("episode_return", "episode_s")
"""Columns of its `floats`."""

(
    _AGENT,
    _ENV_T_STARTED,
    _T_STARTED,
    _LENGTH,
    _LOOKBACK,
    _TERMINATED,
    _TRUNCATED,
    _EPISODE_LENGTH,
) = range(len(INTEGER_FIELDS))
_EPISODE_RETURN, _EPISODE_S = range(len(FLOAT_FIELDS))


def is_column(family: str, name: str) -> bool:
    """Returns whether `name` is the column `family` or one of its paths, such as `obs/camera`."""
    return name == family or name.startswith(family + "/")


def has_last_row(name: str) -> bool:
    """Returns whether a column has a row per chunk for the observation after the last step."""
    return name == ENV_T or is_column(OBSERVATIONS, name)


@dataclass(frozen=True)
class ChunkTable:
    """One row per chunk, in the order of the columns' rows; n is the number of chunks.

    Three arrays and not one per field: handling a whole batch of some kilobytes takes no longer
    than decoding a dozen arrays.

    Attributes:
        agents: the distinct agent ids.
        episode_id: [n, 16] bytes, random, equal for all chunks of an episode.
        integers: [n, 8] int64, with the columns INTEGER_FIELDS:
            agent: index into `agents`.
            env_t_started: the episode's env step at which the first trained step was taken.
            t_started: the same, counted in the agent's own steps.
            length: trained steps, at least 1.
            lookback: context steps before them.
            terminated, truncated: 1 if the episode ended with this chunk, in Gymnasium's sense.
            episode_length: agent steps of the whole episode, 0 unless it ended.
        floats: [n, 2] float64, with the columns FLOAT_FIELDS:
            episode_return: undiscounted return of the whole episode, NaN unless it ended.
            episode_s: duration of the whole episode in seconds, NaN unless it ended.
        ended: the multi-agent episodes that ended for all agents; each in one table of a batch.
    """

    agents: tuple[str, ...]
    episode_id: Array
    integers: Array
    floats: Array
    ended: tuple[EndedEpisode, ...] = ()

    def __len__(self) -> int:
        return len(self.integers)

    @property
    def env_steps(self) -> int:
        """Trained steps, summed over the chunks."""
        return int(np.add.reduce(self.integers[:, _LENGTH]))

    @property
    def rows(self) -> int:
        """Rows of columns other than observations: trained steps and context."""
        return int(np.add.reduce(self.integers[:, _LENGTH : _LOOKBACK + 1], None))

    @property
    def longest_lookback(self) -> int:
        """The largest number of context steps in a chunk."""
        return int(np.maximum.reduce(self.integers[:, _LOOKBACK]))


@dataclass(frozen=True)
class Chunk:
    """One chunk as views into its batch.

    Attributes:
        columns: rows of this chunk by column name; `obs` columns and `env_t` have one row more.
    """

    module_id: str
    agent_id: str
    episode_id: str
    env_t_started: int
    t_started: int
    length: int
    lookback: int
    terminated: bool
    truncated: bool
    episode_return: float
    episode_length: int
    episode_s: float
    columns: Mapping[str, Array]

    @property
    def is_done(self) -> bool:
        """Whether the episode ended with this chunk."""
        return self.terminated or self.truncated


@dataclass(frozen=True)
class ModuleTrajectories:
    """The chunks of all agents of one module."""

    chunks: ChunkTable
    columns: Mapping[str, Array]


@dataclass(frozen=True)
class TrajectoryBatch:
    """Trajectories by module id; single-agent is the case of one module and one agent."""

    modules: Mapping[str, ModuleTrajectories]

    @property
    def agent_steps(self) -> int:
        """Trained steps, summed over all agents."""
        return sum(part.chunks.env_steps for part in self.modules.values())

    @property
    def ended(self) -> dict[str, EndedEpisode]:
        """The multi-agent episodes that ended for all agents, by episode id."""
        tables = [part.chunks for part in self.modules.values()]
        return {
            table.episode_id[ended.chunk].tobytes().hex(): ended
            for table in tables
            for ended in table.ended
        }

    def __iter__(self) -> Iterator[Chunk]:
        """Yields every chunk; arrays are views, nothing is copied."""
        for module_id, part in self.modules.items():
            yield from _chunks(module_id, part)


def _chunks(module_id: str, part: ModuleTrajectories) -> Iterator[Chunk]:
    table = part.chunks
    columns = [(n, v, int(has_last_row(n))) for n, v in part.columns.items()]
    episode_ids = table.episode_id.tobytes().hex()
    row = 0
    for index, (integers, floats) in enumerate(
        zip(table.integers.tolist(), table.floats.tolist(), strict=True)
    ):
        agent, env_t_started, t_started, length, lookback, terminated, truncated, whole = integers
        stop = row + lookback + length
        yield Chunk(
            module_id=module_id,
            agent_id=table.agents[agent],
            episode_id=episode_ids[32 * index : 32 * index + 32],
            env_t_started=env_t_started,
            t_started=t_started,
            length=length,
            lookback=lookback,
            terminated=bool(terminated),
            truncated=bool(truncated),
            episode_return=floats[_EPISODE_RETURN],
            episode_length=whole,
            episode_s=floats[_EPISODE_S],
            # Each earlier chunk has one more observation than it has steps.
            columns={
                name: values[row + index * extra : stop + (index + 1) * extra]
                for name, values, extra in columns
            },
        )
        row = stop


def pack_batch(batch: TrajectoryBatch) -> bytes:
    """Returns the payload frame of a batch.

    Raises:
        LocalProtocolError: an array cannot be encoded, or a chunk table is ragged.
    """
    for part in batch.modules.values():
        if (fault := _shape_fault(part.chunks)) is not None:
            raise LocalProtocolError(f"the batch has {fault}")
    return encode_payload(
        {
            module_id: {"chunks": _table_to_wire(part.chunks), "columns": dict(part.columns)}
            for module_id, part in batch.modules.items()
        }
    )


def _table_to_wire(table: ChunkTable) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "agents": list(table.agents),
        "episode_id": table.episode_id,
        "integers": table.integers,
        "floats": table.floats,
    }
    if table.ended:
        fields["ended"] = ended_to_wire(table.ended)
    return fields


def unpack_batch(
    frame: bytes | memoryview,
    limits: DecodeLimits = DEFAULT_LIMITS,
    *,
    compression: Compression | UnsetType = UNSET,
) -> TrajectoryBatch:
    """Returns the batch in a payload frame, with a consistent chunk table.

    `find_batch_fault` checks whether its columns fit a run.

    Args:
        compression: of the payload, as its header says.

    Raises:
        RemoteProtocolError: the bytes are not a batch.
    """
    tree = decode_payload(decompress(compression, frame, limits), limits)
    if not tree:
        raise _fault("no module")
    batch = TrajectoryBatch({name: _module_from_wire(part) for name, part in tree.items()})
    if sum(len(part.chunks) for part in batch.modules.values()) > limits.max_chunks:
        raise _fault(f"more than {limits.max_chunks} chunks")
    return batch


def _module_from_wire(part: object) -> ModuleTrajectories:
    if not isinstance(part, dict):
        raise _fault("a module that is not a map")
    chunks, columns = part.get("chunks"), part.get("columns")
    if not isinstance(chunks, dict) or not isinstance(columns, dict):
        raise _fault("a module without 'chunks' or 'columns'")
    if not all(isinstance(value, np.ndarray) and value.ndim for value in columns.values()):
        raise _fault("a column that is not an array of rows")
    return ModuleTrajectories(_table_from_wire(chunks), columns)


def _table_from_wire(fields: Mapping[str, object]) -> ChunkTable:
    agents = fields.get("agents")
    if not isinstance(agents, list) or not all(isinstance(agent, str) for agent in agents):
        raise _fault("a chunk table whose 'agents' is not a list of text")
    table = ChunkTable(
        tuple(agents),
        _table_array(fields, "episode_id"),
        _table_array(fields, "integers"),
        _table_array(fields, "floats"),
    )
    fault = _shape_fault(table) or _table_fault(table)
    if fault is not None:
        raise _fault(fault)
    if "ended" in fields:
        return replace(table, ended=ended_from_wire(fields["ended"], len(table)))
    return table


def _table_array(fields: Mapping[str, object], name: str) -> Array:
    value = fields.get(name)
    if not isinstance(value, np.ndarray):
        raise _fault(f"a chunk table without an array {name!r}")
    return value


def _shape_fault(table: ChunkTable) -> str | None:
    count = len(table.integers) if table.integers.ndim else 0
    if count == 0:
        return "an empty chunk table"
    for name, array, dtype, columns in (
        ("integers", table.integers, np.int64, len(INTEGER_FIELDS)),
        ("floats", table.floats, np.float64, len(FLOAT_FIELDS)),
        ("episode_id", table.episode_id, np.uint8, EPISODE_ID_BYTES),
    ):
        if array.dtype != dtype or array.shape != (count, columns):
            return f"{name!r} that is not {dtype.__name__} of shape [{count}, {columns}]"
    return None


def _table_fault(table: ChunkTable) -> str | None:
    integers = table.integers
    most, least = np.maximum.reduce(integers).tolist(), np.minimum.reduce(integers).tolist()
    if min(least) < 0:
        return f"a negative {INTEGER_FIELDS[least.index(min(least))]!r}"
    if max(most) > MAX_SAFE_INTEGER:
        return "a number above 2^53 - 1"
    if most[_AGENT] >= len(table.agents):
        return "an 'agent' index outside 'agents'"
    if least[_LENGTH] < 1:
        return "a chunk without steps"
    if max(most[_LENGTH], most[_LOOKBACK]) > LONGEST_CHUNK:
        return f"a chunk of more than {LONGEST_CHUNK} steps"
    if max(most[_TERMINATED], most[_TRUNCATED]) > 1:
        return "'terminated' or 'truncated' that is neither 0 nor 1"
    if most[_LOOKBACK] and (integers[:, _LOOKBACK] > integers[:, _T_STARTED]).any():
        return "a lookback that reaches before the start of its episode"
    if not (most[_TERMINATED] or most[_TRUNCATED]):
        return None
    return _ended_fault(table)


def _ended_fault(table: ChunkTable) -> str | None:
    ended = table.integers[:, _TERMINATED] | table.integers[:, _TRUNCATED]
    finite = np.isfinite(table.floats[:, _EPISODE_RETURN])
    if not np.logical_and.reduce(finite >= ended):
        return "a finished episode without a finite 'episode_return'"
    stops = table.integers[:, _T_STARTED] + table.integers[:, _LENGTH]
    if not np.logical_and.reduce(table.integers[:, _EPISODE_LENGTH] >= stops * ended):
        return "a finished episode that is shorter than its last chunk's end"
    return None


def _fault(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(RejectCode.INVALID_BATCH, f"the batch has {what}")
