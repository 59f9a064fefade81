"""Runs at the start of every Python below `dolium galaxy run`; see `dolium.datasets.startup`."""

try:
    from dolium.datasets import startup
except ModuleNotFoundError as error:
    # Another Python, a tool's: not Galaxy's, and none of our business.
    if not (error.name or "").startswith("dolium"):
        raise
else:
    startup.install()
    startup.next_sitecustomize()
