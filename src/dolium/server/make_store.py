"""`python -m dolium.server.make_store`: make one store, in a process of its own.

What to make comes pickled on the standard input, from `store_entry` alone; what came of it goes out as JSON.
"""

from __future__ import annotations

import json
import pickle
import sys

from dolium.config.settings import Settings
from dolium.errors import DoliumError
from dolium.server.store_entry import make


def main() -> None:
    spec, min_free = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started us
    answer: dict[str, object]
    try:
        answer = make(spec, Settings(min_free=min_free))._asdict()
    except DoliumError as error:
        answer = {"error": error.message}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
