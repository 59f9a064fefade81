"""Layers: stores with one child that add one concern each."""
