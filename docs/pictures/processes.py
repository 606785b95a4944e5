"""The processes of a run, and the sockets between them."""

from __future__ import annotations

import zmq

from docs.pictures.svg import Picture
from headrace.broker.transport.sockets import ENDPOINTS

_PEERS_SOCKET = {zmq.PULL: "PUSH", zmq.XPUB: "SUB", zmq.ROUTER: "DEALER"}
_CARRIES = {
    "ingest": "trajectories",
    "control": "credit, acks",
    "weights": "weights",
}
_ROW = 88


def draw() -> str:
    """Returns the picture."""
    picture = Picture(1150, 500, "The processes of a run, and their sockets")
    picture.box(16, 16, 430, 468, text="Simulator hosts, any number", look="group")
    picture.box(596, 16, 190, 468, text="Broker", look="group")
    picture.box(936, 16, 198, 468, text="Learner", look="group")
    simulator = picture.box(34, 140, 150, 76, text="Simulator\nGymnasium, or\nits own loop")
    picture.box(
        262, 56, 166, 244, text="Actor\nacts with its own\ncopy of the policy\nrecords batches"
    )
    picture.box(34, 376, 150, 76, text="Thin simulator\nany language,\nno policy")
    server = picture.box(
        262, 366, 166, 96, text="Policy server\nacts for many\nthin simulators", look="key"
    )
    runner = picture.box(
        952, 298, 166, 96, text="BrokerEnvRunner\none or many, a session\neach; sample() → episodes"
    )
    algorithm = picture.box(
        952, 100, 166, 76, text="RLlib Algorithm\nPPO, APPO, SAC, …", look="good"
    )
    picture.box(612, 424, 158, 46, text="HTTP\nhealth, status, metrics")
    for index, (name, (kind, _)) in enumerate(ENDPOINTS.items()):
        endpoint = picture.box(
            612,
            60 + index * _ROW,
            158,
            58,
            text=f"{name}\n{zmq.SocketType(kind).name}, base port + {index}",
            look="key",
        )
        there = _PEERS_SOCKET[zmq.SocketType(kind)]
        _, middle = endpoint.at("left")
        if name == "learner":
            picture.arrow((952, middle - 12), (770, middle - 12), label=f"{there}: pull, offer")
            picture.arrow((770, middle + 16), (952, middle + 16), label="leases, want")
            continue
        ends = [(428.0, middle), (612.0, middle)]
        picture.arrow(
            *(ends if name == "ingest" else reversed(ends)), label=f"{there}: {_CARRIES[name]}"
        )
    picture.arrow(simulator.at("right", 0.3), (262, 163), label="step")
    picture.arrow((262, 197), simulator.at("right", 0.75), label="action")
    picture.arrow((184, 400), (262, 400), label="observe")
    picture.arrow((262, 428), (184, 428), label="action")
    picture.arrow(server.at("right"), (596, 414), label="three sockets,\nas any actor")
    picture.arrow(algorithm.at("bottom", 0.35), runner.at("top", 0.35), label="weights")
    picture.arrow(runner.at("top", 0.75), algorithm.at("bottom", 0.75), label="episodes")
    return picture.draw()
