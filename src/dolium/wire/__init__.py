"""Pure formats of S3: signatures, bodies, documents, names, conditions. No I/O and no clock.

What the server reads and writes on the wire is understood here and nowhere else. Malformed input raises
`errors.Malformed` with the code that AWS answers.
"""
