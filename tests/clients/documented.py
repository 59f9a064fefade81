"""The configurations of `docs/clients.md`, as clients get them: what people paste is what is tested."""

import re
from pathlib import Path

from dolium.testing.server import Site

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
_FENCE = re.compile(
    r'^```(?P<language>\w+) title="(?P<title>[^"]+)"\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL
)


def blocks(language: str) -> dict[str, str]:
    """Every titled block of the page in `language`, by title."""
    return {m["title"]: m["text"] for m in _FENCE.finditer(PAGE.read_text()) if m["language"] == language}


def filled(title: str, site: Site) -> str:
    """The block titled `title (http)` or `title (https)`, else `title`, with the site's address and keys in it."""
    found = {m["title"]: m["text"] for m in _FENCE.finditer(PAGE.read_text())}
    scheme = "https" if site.secure else "http"
    return fill(found.get(f"{title} ({scheme})") or found[title], site)


def fill(text: str, site: Site) -> str:
    """Put the site's address and keys where the page has its own."""
    for example, real in (
        ("http://127.0.0.1:9000", site.url),
        ("https://s3.example.org", site.url),
        ("127.0.0.1:9000", site.host),
        ("s3.example.org", site.host),
        ("YOUR_ACCESS_KEY", site.access_key),
        ("YOUR_SECRET_KEY", site.secret_key),
        ("/path/to/ca.pem", str(site.ca_file)),
    ):
        text = text.replace(example, real)
    return text
