"""Columnar trajectory batches: all chunks of a module share one array per column.

A *chunk* is a contiguous slice of one agent's episode. Of its rows the first `lookback` are context
and never trained. `obs` columns have lookback + length + 1 rows per chunk, all others
lookback + length; the rows of consecutive chunks follow one another.

The payload is `{module id: {"chunks": {field: array}, "columns": {name: array}}}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.protocol.arrays import Array
from headrace.protocol.errors import LocalProtocolError, RejectCode, RemoteProtocolError
from headrace.protocol.limits import DEFAULT_LIMITS, DecodeLimits
from headrace.protocol.payload import decode_payload, encode_payload

OBSERVATIONS = "obs"
ACTIONS = "actions"
REWARDS = "rewards"
INFOS = "infos"

EPISODE_ID_BYTES = 16
DEFAULT_AGENT = "default_agent"

_CHUNK_DTYPES = {
    "agent": "int32",
    "env_t_started": "int64",
    "t_started": "int64",
    "length": "int32",
    "lookback": "int32",
    "terminated": "bool",
    "truncated": "bool",
    "episode_return": "float64",
    "episode_length": "int64",
    "episode_s": "float64",
}


def is_column(family: str, name: str) -> bool:
    """Returns whether `name` is the column `family` or one of its paths, such as `obs/camera`."""
    return name == family or name.startswith(family + "/")


@dataclass(frozen=True)
class ChunkTable:
    """One entry per chunk, in the order of the rows; n is the number of chunks.

    Attributes:
        agents: the distinct agent ids.
        agent: [n] index into `agents`.
        episode_id: [n, 16] bytes, random, equal for all chunks of an episode.
        env_t_started: [n] the episode's env step at which the first trained step was taken.
        t_started: [n] the same, counted in the agent's own steps.
        length: [n] trained steps, at least 1.
        lookback: [n] context steps before them.
        terminated, truncated: [n] whether the episode ended with this chunk, in Gymnasium's sense.
        episode_return: [n] undiscounted return of the whole episode, NaN unless it ended.
        episode_length: [n] agent steps of the whole episode, 0 unless it ended.
        episode_s: [n] seconds that the whole episode took, NaN unless it ended.
    """

    agents: tuple[str, ...]
    agent: Array
    episode_id: Array
    env_t_started: Array
    t_started: Array
    length: Array
    lookback: Array
    terminated: Array
    truncated: Array
    episode_return: Array
    episode_length: Array
    episode_s: Array

    def __len__(self) -> int:
        return len(self.length)


@dataclass(frozen=True)
class Chunk:
    """One chunk as views into its batch.

    Attributes:
        columns: rows of this chunk by column name; `obs` columns have one row more.
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
        return sum(int(part.chunks.length.sum()) for part in self.modules.values())

    def __iter__(self) -> Iterator[Chunk]:
        """Yields every chunk; arrays are views, nothing is copied."""
        for module_id, part in self.modules.items():
            yield from _chunks(module_id, part)


def _chunks(module_id: str, part: ModuleTrajectories) -> Iterator[Chunk]:
    table = part.chunks
    scalars = {name: getattr(table, name).tolist() for name in _CHUNK_DTYPES}
    agents = [table.agents[index] for index in scalars.pop("agent")]
    row = observation_row = 0
    for index, agent_id in enumerate(agents):
        fields = {name: values[index] for name, values in scalars.items()}
        steps = fields["lookback"] + fields["length"]
        yield Chunk(
            module_id=module_id,
            agent_id=agent_id,
            episode_id=table.episode_id[index].tobytes().hex(),
            columns={
                name: values[observation_row : observation_row + steps + 1]
                if is_column(OBSERVATIONS, name)
                else values[row : row + steps]
                for name, values in part.columns.items()
            },
            **fields,
        )
        row += steps
        observation_row += steps + 1


def pack_batch(batch: TrajectoryBatch) -> bytes:
    """Returns the payload frame of a batch.

    Raises:
        LocalProtocolError: an array cannot travel, or a chunk table is ragged.
    """
    for part in batch.modules.values():
        lengths = {len(getattr(part.chunks, name)) for name in ("episode_id", *_CHUNK_DTYPES)}
        if len(lengths) != 1:
            raise LocalProtocolError(f"a chunk table with columns of lengths {sorted(lengths)}")
    return encode_payload(
        {
            module_id: {"chunks": _table_to_wire(part.chunks), "columns": dict(part.columns)}
            for module_id, part in batch.modules.items()
        }
    )


def _table_to_wire(table: ChunkTable) -> dict[str, Any]:
    fields = {name: np.asarray(getattr(table, name), kind) for name, kind in _CHUNK_DTYPES.items()}
    return {"agents": list(table.agents), "episode_id": table.episode_id, **fields}


def unpack_batch(
    frame: bytes | memoryview, limits: DecodeLimits = DEFAULT_LIMITS
) -> TrajectoryBatch:
    """Returns the batch in a payload frame, with a consistent chunk table.

    Whether columns fit a run is for `find_batch_fault` to say.

    Raises:
        RemoteProtocolError: the bytes are not a batch.
    """
    tree = decode_payload(frame, limits)
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
    agents, episode_id = fields.get("agents"), fields.get("episode_id")
    if not isinstance(agents, list) or not all(isinstance(agent, str) for agent in agents):
        raise _fault("a chunk table whose 'agents' is not a list of text")
    arrays = {name: _table_array(name, fields.get(name)) for name in _CHUNK_DTYPES}
    chunk_count = len(arrays["length"])
    if chunk_count == 0 or any(len(values) != chunk_count for values in arrays.values()):
        raise _fault("a chunk table that is empty or ragged")
    if (
        not isinstance(episode_id, np.ndarray)
        or episode_id.dtype != np.uint8
        or episode_id.shape != (chunk_count, EPISODE_ID_BYTES)
    ):
        raise _fault(f"'episode_id' that is not uint8 of shape [{chunk_count}, 16]")
    table = ChunkTable(agents=tuple(agents), episode_id=episode_id, **arrays)
    if (fault := _table_fault(table)) is not None:
        raise _fault(fault)
    return table


def _table_array(name: str, value: object) -> Array:
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype != _CHUNK_DTYPES[name]:
        raise _fault(f"{name!r} that is not a list of {_CHUNK_DTYPES[name]}")
    return value


def _table_fault(table: ChunkTable) -> str | None:
    if table.agent.min() < 0 or table.agent.max() >= len(table.agents):
        return "an 'agent' index outside 'agents'"
    if table.length.min() < 1:
        return "a chunk without steps"
    if np.concatenate((table.lookback, table.t_started, table.env_t_started)).min() < 0:
        return "a negative step count"
    if (table.lookback > table.t_started).any():
        return "a lookback that reaches before the start of its episode"
    ended = table.terminated | table.truncated
    if not ended.any():
        return None
    if not np.isfinite(table.episode_return[ended]).all():
        return "a finished episode without a finite 'episode_return'"
    if (table.episode_length < table.t_started + table.length)[ended].any():
        return "a finished episode that is shorter than its last chunk's end"
    return None


def _fault(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(RejectCode.INVALID_BATCH, f"the batch has {what}")
