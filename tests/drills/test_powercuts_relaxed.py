"""`durability: relaxed`: a power cut takes bytes that were acknowledged, and nothing else; what is lost is refused."""

import re
from pathlib import Path

from dolium.testing.checker import check
from tests.clients.raw import target
from tests.drills.conftest import CONFIG, swept
from tests.drills.dark import dark_server
from tests.drills.worker import BUCKET, Worker, listed_keys

RELAXED = CONFIG.replace("min_free: 0", "min_free: 0, durability: relaxed")

OF_BYTES = re.compile(
    r"(?s)(.* \(sequence \d+\)|part \d+ of upload \d+) "
    r"(has lost its|has \d+ bytes and should|has bytes that are not|is described as|has a manifest of other)"
    r"|blob \S+ has not the checksums"
)
"""What the checker says of bytes and descriptions; all else is of the catalog."""

_INLINE = 16 << 10


def test_bytes_are_lost_and_nothing_else(library: Path, tmp_path: Path) -> None:
    dark = dark_server(tmp_path, library, config=RELAXED)
    try:
        load = dark.start_under_load()
        load.resume()
        load.work(150)
        dark.cut()
        assert [problem for problem in check(dark.server.data).problems if not OF_BYTES.match(problem)] == []
        dark.start()
        # The strictest disk knows none of them.
        assert sum(delete_lost(worker) for worker in load.workers) > 5
        dark.server.kill()
        left = check(dark.server.data).problems
        assert [
            problem for problem in left if not problem.startswith(("part ", "blob "))
        ] == []  # of open uploads
        after = swept(dark.server.data)
        assert (after.problems, after.leftovers) == (left, [])
    finally:
        dark.end()


def delete_lost(worker: Worker) -> int:
    """Objects are as they should be, or are answered with an error; how many with an error. Those are deleted."""
    lost = 0
    worker.wire.close()
    for key in worker.known:
        path = target(BUCKET, key)
        answer = worker.wire.ask("GET", path)
        if answer.status != 500:
            worker.known.see(key, answer)
            continue
        lost += 1
        version = worker.known.present(key)
        if version is not None:
            assert len(version.body) > _INLINE or "-" in version.etag, f"{key!r} lay in the catalog"
        assert worker.wire.ask("DELETE", path).status == 204
        worker.known.settle(key, None)
    answer = worker.wire.ask("GET", f"/{BUCKET}?list-type=2&encoding-type=url&prefix={worker.name}/")
    worker.known.check_listed(listed_keys(answer))
    return lost
