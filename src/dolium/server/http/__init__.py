"""An HTTP/1.1 server for ASGI apps: llhttp parses, uvloop moves the bytes, and this decides the rest.

It is strict where proxies differ, bounded in time and size everywhere, and never lets an unfinished body or
answer look finished. Why there is one: docs/decisions/0002-http-server.md.
"""
