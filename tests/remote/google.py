"""A service account of Google's, made for a test, and the service that gives tokens to such accounts: here it looks at
nothing but the signature of who asks.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

EMAIL = "galaxy@dolium.iam.gserviceaccount.com"


@dataclass(frozen=True)
class Account:
    """`said`: the JSON that Google gives out for it."""

    said: str
    key: rsa.RSAPublicKey

    def signed(self, signature: bytes, text: bytes) -> bool:
        try:
            self.key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def account(token_url: str = "https://oauth2.example.org/token") -> Account:
    key = rsa.generate_private_key(65537, 2048)
    kept = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    said = {
        "type": "service_account", "project_id": "dolium", "private_key_id": "1", "private_key": kept.decode(),
        "client_email": EMAIL, "client_id": "1", "token_uri": token_url,
    }  # fmt: skip
    return Account(json.dumps(said), key.public_key())


@contextmanager
def tokens() -> Iterator[Account]:
    """An account that gets tokens of a service that runs until the block ends."""
    known: list[Account] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            text, _, signature = parse_qs(body)["assertion"][0].rpartition(".")
            good = known[0].signed(base64.urlsafe_b64decode(signature + "=="), text.encode())
            answer = {"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"}
            data = json.dumps(answer if good else {"error": "invalid_grant"}).encode()
            self.send_response(200 if good else 400)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known.append(account(f"http://127.0.0.1:{server.server_port}/token"))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield known[0]
        server.shutdown()
