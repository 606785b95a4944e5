"""When somebody has to look who talks too much."""

from __future__ import annotations

from headrace.broker.host.flood_watch import FloodAlarm
from headrace.protocol.limits import MIB


def test_there_is_an_alarm_when_memory_grows_beyond_all_before() -> None:
    alarm = FloodAlarm()
    judged = [
        alarm.judge(mebibytes * MIB, rounds, rounds / 10)
        for rounds, mebibytes in enumerate((100, 110, 117, 50, 130, 134))
    ]
    assert judged == [True, False, True, False, False, True]


def test_there_is_an_alarm_while_the_loop_stands_still() -> None:
    alarm = FloodAlarm()
    alarm.judge(MIB, 1, 0.0)
    assert not alarm.judge(MIB, 2, 1.0)
    assert not alarm.judge(MIB, 2, 1.1)
    assert alarm.judge(MIB, 2, 1.3)
    assert alarm.judge(MIB, 2, 9.0)
    assert not alarm.judge(MIB, 3, 9.1)
