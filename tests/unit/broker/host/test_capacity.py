"""When a broker warns, refuses new connections and admits them again."""

from __future__ import annotations

import subprocess
import sys

from headrace.broker.host.capacity import Capacity, CapacityWatch


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
    # In a process of its own: threads of other tests open and close files.
    script = (
        "from headrace.broker.host.capacity import open_files\n"
        "before = open_files()\n"
        "with open('/dev/null'):\n"
        "    print(open_files() - before)\n"
    )
    counted = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert counted.stdout.strip() == "1", counted.stderr
