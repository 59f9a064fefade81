"""Pure formats: bytes to values and back. No I/O, no clock, no store."""
