"""Stores with many children: hierarchical, distributed, replicated, cached; placement and health beside them.

None knows a concrete leaf. What each does when a member is down, full or read-only: `docs/composites.md`.
"""
