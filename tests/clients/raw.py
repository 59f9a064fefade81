"""Requests below any client: signed by botocore's signer, sent byte for byte as given."""

import http.client
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from dolium.testing.server import Site

UNSIGNED = "UNSIGNED-PAYLOAD"
_TIMEOUT = 20


class _Signer(S3SigV4Auth):
    """botocore's signer, told what to declare of the payload instead of hashing it."""

    def __init__(self, site: Site, payload: str) -> None:
        super().__init__(Credentials(site.access_key, site.secret_key), "s3", site.region)
        self._declared = payload

    def payload(self, request: AWSRequest) -> str:
        return self._declared


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The S3 error code of an XML body, or "" without one."""
        return self.field("Code")

    def field(self, name: str) -> str:
        """The text of the first element `name` of an XML body, in any namespace; "" without one."""
        if not self.body.startswith(b"<"):
            return ""
        found = ET.fromstring(self.body).find(f".//{{*}}{name}")
        return "" if found is None else found.text or ""


def connection(site: Site) -> http.client.HTTPConnection:
    """An open connection to the site, which trusts the site's own authority."""
    if not site.secure:
        return http.client.HTTPConnection(site.host, timeout=_TIMEOUT)
    context = ssl.create_default_context(cafile=str(site.ca_file))
    return http.client.HTTPSConnection(site.host, timeout=_TIMEOUT, context=context)


def target(bucket: str, key: str = "", query: str = "") -> str:
    """The path of a request with every byte but the slashes of the key encoded once."""
    return f"/{bucket}{'/' + quote(key, safe='/') if key else ''}{'?' + query if query else ''}"


def signed(
    site: Site, method: str, path: str, headers: Mapping[str, str] | None = None, payload: str = UNSIGNED
) -> dict[str, str]:
    """The headers of a request signed with SigV4; `payload` is the value of x-amz-content-sha256."""
    request = AWSRequest(method=method, url=site.url + path, headers={**(headers or {}), "Host": site.host})
    _Signer(site, payload).add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}


def send(
    site: Site,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] = b"",
) -> Answer:
    """One request on a connection of its own."""
    opened = connection(site)
    try:
        opened.request(method, path, body=body, headers=dict(headers or {}))
        answer = opened.getresponse()
        return Answer(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
    finally:
        opened.close()


def fetch(
    site: Site, url: str, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """Follow a presigned URL of this site."""
    parts = urlsplit(url)
    assert parts.netloc == site.host, url
    return send(site, method, f"{parts.path}?{parts.query}", headers=headers, body=body)
