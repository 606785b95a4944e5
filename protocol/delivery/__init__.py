"""Both ends of delivery as state machines: messages and times in, decisions out. Pure.

Theory of operation. The actor's `Sender` numbers batches from 1 and keeps each until it is
acknowledged. The broker's `Receiver` accepts them in order, go-back-n. Three cumulative numbers
travel back together in a `Delivery`, of which any copy may be lost, repeated or late:

* accepted a: everything up to a arrived. It stops retransmission and nothing else.
* acknowledged m <= a: everything up to m ended, as its totals say. It frees memory.
* credit: permission to *begin* batches up to a sequence number. It belongs to one broker
  incarnation and is dropped when another one speaks.

The Sender transmits each batch once, and again only above a: after a timeout with jitter, on a
`gap`, when a new broker incarnation reports a lower a, or after a lost connection. In that last
case it first waits for the next delivery state, since the broker may not know the actor. Neither
class reads a clock: `now_s` is any monotonic time in seconds, the same for all calls to one object.
"""

from headrace.protocol.delivery.receiver import Outcome, Receiver, Verdict
from headrace.protocol.delivery.sender import Outgoing, ResendPolicy, Sender

__all__ = ["Outcome", "Outgoing", "Receiver", "ResendPolicy", "Sender", "Verdict"]
