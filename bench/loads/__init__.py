"""What makes the load: wrk for many requests, curl for big streams, our own loop for HEAD, zarr for zarr.

Each returns a `Load`; none of them judges it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Load"]


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of a load saw. `moved` is payload bytes; `failure` says why the figures count for nothing."""

    requests: int
    moved: int
    seconds: float
    p99_ms: float | None = None
    failure: str = ""
