"""dolium: an S3-compatible, multi-tenant object store for research data."""

__all__ = ["__version__"]

__version__ = "0.1.0.dev0"
