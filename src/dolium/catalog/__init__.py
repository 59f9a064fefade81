"""The book: who owns what, and where each blob lies. One file per family of tables, two engines."""
