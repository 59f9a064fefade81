"""A worker that is killed while it makes the copies of a replicated store: the next one goes on, and nothing is lost."""

from pathlib import Path

import pytest

from dolium.testing.crashes import Crashes
from tests.drills.points import OF_COPIES
from tests.serve.test_replicated import COMMON, Pair, replicated
from tests.serve.test_stores import disk, serving, until


@pytest.mark.parametrize("point", OF_COPIES)
def test_a_disk_becomes_a_pair(tmp_path: Path, crashes: Crashes, point: str) -> None:
    a, b = disk("a", tmp_path / "a"), disk("b", tmp_path / "b")
    config = f"{COMMON}stores: {a}\n"
    with serving(tmp_path, config, workers=1, environment=crashes.environment) as service:
        pair = Pair(service)
        service.put_all_kinds("alone")
        if point != "copies.settled":
            crashes.arm(point)
        service.reload(replicated(a, b, quorum=1))
        service.put_all_kinds("two")
        if point == "copies.settled":
            pair.take_away("b")
            service.put_all_kinds("short of a copy")
            crashes.arm(point)
            pair.bring_back("b")
        crashes.wait()
        crashes.disarm()
        until(lambda: service.stores_of("alone/parts") == service.stores_of("alone/file-copy") == {"pair"})
        pair.until_alike()
        service.require_all()
        for name in "ab":
            pair.take_away(name)
            service.require_all()
            pair.bring_back(name)
        assert service.cli("store", "orphans") == []
        assert service.cli("check-data", "--read")[-1]["problems"] == 0
