"""When the flood watch raises its alarm."""

from __future__ import annotations

from headrace.broker.host.flood_watch import FloodAlarm
from headrace.protocol.limits import MIB


def test_a_new_memory_maximum_raises_the_alarm() -> None:
    alarm = FloodAlarm()
    judged = [
        alarm.judge(mebibytes * MIB, rounds, rounds / 10)
        for rounds, mebibytes in enumerate((100, 110, 117, 50, 130, 134))
    ]
    assert judged == [True, False, True, False, False, True]


def test_a_stalled_loop_raises_the_alarm() -> None:
    alarm = FloodAlarm()
    alarm.judge(MIB, 1, 0.0)
    assert not alarm.judge(MIB, 2, 1.0)
    assert not alarm.judge(MIB, 2, 1.1)
    assert alarm.judge(MIB, 2, 1.3)
    assert alarm.judge(MIB, 2, 9.0)
    assert not alarm.judge(MIB, 3, 9.1)
