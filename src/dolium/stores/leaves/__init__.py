"""Leaves: stores with no child. One file each, its options on top; `memory` is the one to read first."""
