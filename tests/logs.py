"""What must never be in the log of a server that only served, whatever it was sent."""

import json
import re

__all__ = ["leaks"]

# As they stand in requests and answers; a key of an object may look like a hash, so hashes alone prove nothing.
_SIGNATURES = re.compile(
    r"(?i)(x-amz-)?signature(=|%3d|:)|x-amz-credential|AWS4-HMAC|authorization:|bearer |x-amz-security-token"
)


def leaks(log: str, *, secrets: tuple[str, ...], folder: str) -> list[str]:
    """The lines with a secret, a signature, a traceback, a fault of the server, or a path of its machine.

    What is printed before the first line of JSON is for whoever started it, and only secrets are looked for there.
    """
    found = []
    for line in log.splitlines():
        if any(secret in line for secret in secrets):
            found.append(f"a secret: {line}")
        elif "Traceback (most recent" in line or not line.startswith("{"):
            if "Traceback" in line:
                found.append(f"a traceback: {line}")
        else:
            found += _in_json(json.loads(line), line, folder)
    return found


def _in_json(said: dict[str, object], line: str, folder: str) -> list[str]:
    path = str(said.get("path", ""))
    if "traceback" in said:
        return [f"a traceback: {line}"]
    if said.get("level") == "error":
        return [f"a fault of the server: {line}"]
    rest = json.dumps({name: value for name, value in said.items() if name != "path"})
    if _SIGNATURES.search(rest) or "?" in path:
        return [f"a signature: {line}"]
    if folder in rest or "/src/dolium/" in rest:
        return [f"a path: {line}"]
    return []
