"""Requests in, answers out: a policy server without its socket."""

from __future__ import annotations

from typing import Any, cast

import msgpack
import pytest
from support.memory_client import MemoryClient

from headrace.actors.agents.episode_agent import EpisodeAgent
from headrace.actors.inference.request_handler import InferenceConfig, RequestHandler

Answer = tuple[bytes, dict[str, Any], Any]


class Served:
    """A handler, its client in memory, and the answers as a simulator reads them."""

    def __init__(self, **config: Any) -> None:
        self.client = MemoryClient(fragment_steps=3)
        agent = EpisodeAgent(self.client, seed=0)
        self.handler = RequestHandler(agent, InferenceConfig(**config))
        self.now_s = 0.0

    def send(self, kind: str, turn: int, episode: str = "e", **agent: Any) -> None:
        header = {"kind": kind, "wire": 1, "episode": episode, "turn": turn}
        turns = {"default_agent": {"observation": [1.0] * 4, **agent}}
        frames = [msgpack.packb(header), msgpack.packb(turns)]
        self.handler.take(episode.encode(), "", cast("list[bytes]", frames), self.now_s)

    def answers(self) -> list[Answer]:
        self.handler.serve(0.0)
        return [
            (route, msgpack.unpackb(header), msgpack.unpackb(payload[0]) if payload else None)
            for route, (header, *payload) in self.handler.take_answers()
        ]


@pytest.fixture
def served() -> Served:
    return Served()


def test_requests_that_arrive_together_are_answered_each_on_its_route(served: Served) -> None:
    served.send("act", 0, "a")
    served.send("act", 0, "b")
    assert served.handler.waiting == 2
    answers = served.answers()
    assert [(route, header["episode"]) for route, header, _ in answers] == [
        (b"a", "a"),
        (b"b", "b"),
    ]
    assert all(payload["default_agent"] in (0, 1) for _, _, payload in answers)
    assert served.handler.waiting == 0


def test_no_more_requests_than_allowed_share_a_run_of_the_policy() -> None:
    served = Served(max_batch=2)
    for name in "abc":
        served.send("act", 0, name)
    assert [len(served.answers()) for _ in range(3)] == [2, 1, 0]


def test_a_repeated_request_gets_its_first_answer_and_is_recorded_once(served: Served) -> None:
    served.send("act", 0)
    [first] = served.answers()
    served.send("act", 0)
    assert served.answers() == [first]
    for turn in (1, 2):
        served.send("act", turn, reward=1.0)
        served.answers()
    served.send("end", 3, reward=1.0)
    [(_, ended, _)] = served.answers()
    assert ended["kind"] == "ended"
    [pushed] = served.client.pushed
    assert [(c.length, c.episode_return) for c in pushed.chunks] == [(3, 3.0)]


def test_a_turn_that_does_not_fit_changes_nothing_and_may_be_sent_again(served: Served) -> None:
    served.send("act", 0, observation=[1.0] * 5)
    [(_, denial, _)] = served.answers()
    assert (denial["kind"], denial["code"]) == ("denial", "invalid_turn")
    served.send("act", 0)
    [(_, actions, _)] = served.answers()
    assert actions["kind"] == "actions"


def test_rubbish_is_denied_without_a_name(served: Served) -> None:
    served.handler.take(b"route", "", [b"\xc1", b""], 0.0)
    [(route, denial, _)] = served.answers()
    assert (route, denial["kind"], denial.get("episode")) == (b"route", "denial", None)


def test_without_credit_requests_wait(served: Served) -> None:
    served.client.credits = 0
    served.send("act", 0)
    assert served.answers() == []
    served.client.credits = 1
    assert len(served.answers()) == 1


def test_an_episode_of_a_silent_simulator_is_truncated_and_then_unknown(served: Served) -> None:
    served.send("act", 0)
    served.answers()
    served.send("act", 1, reward=1.0)
    served.answers()
    served.now_s = 100.0
    served.handler.end_overdue(served.now_s)
    served.send("act", 2)
    [(_, denial, _)] = served.answers()
    assert denial["code"] == "unknown_episode"
