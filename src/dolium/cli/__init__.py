"""The command line: one file per command, each with `add`, which gives its arguments and what runs it."""
