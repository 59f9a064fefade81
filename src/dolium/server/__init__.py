"""The composition root: builds everything, runs it."""
