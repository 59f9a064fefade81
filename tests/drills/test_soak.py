"""A short soak; the long one is `make soak`."""

import os

from dolium.testing.server import LiveServer
from tests.drills.soak import Soak

_SECONDS = float(os.environ.get("DOLIUM_SOAK_SECONDS", "12"))


def test_everything_at_once(server: LiveServer) -> None:
    soak = Soak(server)
    soak.run(_SECONDS)
    assert soak.operations > 500
    assert len(soak.kills) >= 3
    assert soak.broken, "a kill cut nobody off"
