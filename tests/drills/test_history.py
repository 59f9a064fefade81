"""What clients were told, all of it: on a few keys, by two workers that are killed, and it is as if by one register.

`DOLIUM_HISTORY_SECONDS` says how long, if not for fifteen.
"""

import os
import random
import signal
from collections import Counter

from dolium.testing.checker import check
from dolium.testing.linearizability import Demand, Operation, violations
from dolium.testing.server import LiveServer
from tests.drills.history import Historians

_SECONDS = float(os.environ.get("DOLIUM_HISTORY_SECONDS", "15"))
_ROUND = 5.0
"""In each a worker is killed twice, then all processes."""


def test_every_history_is_that_of_a_register(server: LiveServer) -> None:
    seed = random.randrange(1 << 30)
    server.start()
    historians = Historians(server.http, clients=6, keys=3, seed=seed)
    try:
        for _ in range(max(1, round(_SECONDS / _ROUND))):
            for _ in range(2):
                historians.work(_ROUND / 3)
                os.kill(random.choice(server.workers), signal.SIGKILL)
            historians.work(_ROUND / 3)
            server.kill()
            server.start()
        historians.work(0.5)
    finally:
        history = historians.end()
    server.kill()
    found = violations(history)
    assert not found, "\n\n".join(map(str, found))
    done = Counter(_kind_of(one) for one in history)
    assert all(done[kind] > 20 for kind in ("read", "write", "conditional", "refused")), done
    assert done["unknown"], done
    assert check(server.data).problems == []


def _kind_of(one: Operation) -> str:
    if one.ended is None:
        return "unknown"
    if one.reads:
        return "read"
    if one.refused:
        return "refused"
    return "write" if one.demand is Demand.NOTHING else "conditional"
