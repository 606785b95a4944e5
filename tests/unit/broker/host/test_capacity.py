"""When a broker warns, refuses new connections and admits them again."""

from __future__ import annotations

from headrace.broker.host.capacity import Capacity, CapacityWatch, open_files


def test_it_warns_once_then_refuses_and_admits_again_with_some_room() -> None:
    watch = CapacityWatch(100)
    said = [watch.judge(count) for count in (10, 75, 80, 89, 90, 99, 87, 85, 84, 70, 75)]
    unchanged = Capacity.UNCHANGED
    assert said == [
        unchanged,
        Capacity.NEARLY_FULL,
        unchanged,
        unchanged,
        Capacity.FULL,
        unchanged,
        unchanged,
        unchanged,
        Capacity.HAS_ROOM,
        unchanged,
        Capacity.NEARLY_FULL,
    ]


def test_open_files_are_counted() -> None:
    before = open_files()
    assert before is not None
    with open(__file__):
        assert open_files() == before + 1
