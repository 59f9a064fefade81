"""Galaxy's object store as a library: the same configuration, method names and paths. No catalog, no server.

`build_object_store` in `entry.py` makes one; `docs/galaxy.md` says what is the same as in Galaxy, and what is better.
"""
