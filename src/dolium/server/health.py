"""Is this process alive, can it serve, and what has been counted: `/_health/live`, `/_health/ready`,
`/_metrics`.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dolium.asgi.bridge import Bridge
from dolium.asgi.messages import Response, Scope, Send
from dolium.catalog import damage, replicas
from dolium.catalog.database import Database
from dolium.catalog.stores import Holding
from dolium.errors import CatalogError, StoreError
from dolium.server.backing_up import last_backup
from dolium.server.meters import Meters
from dolium.server.stores import LiveStores, StoreNow
from dolium.stores.composites.guarded import Guarded
from dolium.stores.composites.placement import State
from dolium.stores.composites.replicated import Replicated
from dolium.stores.contract import ReportsSpace, unwrap
from dolium.stores.leaves.disk import Disk
from dolium.values import Secret, Space

__all__ = ["PROBES", "Health"]

PROBES = frozenset((b"/_health/live", b"/_health/ready"))
"""Answered by a process that is full, too."""

_PROBE_SECONDS = 5.0
# What proxies add. A request that carries one came from elsewhere, whoever handed it on.
_FORWARDED = frozenset((
    b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port",
    b"x-forwarded-server", b"x-real-ip", b"x-client-ip", b"true-client-ip", b"cf-connecting-ip", b"x-envoy-external-address",
))  # fmt: skip


class Health:
    """One per process."""

    def __init__(
        self,
        database: Database,
        live: LiveStores,
        bridge: Bridge,
        meters: Meters,
        *,
        metrics: str,
        data: Path,
        token: Secret | None = None,
    ) -> None:
        self._database = database
        self._live = live
        self._bridge = bridge
        self._meters = meters
        self._metrics = metrics
        self._token = token
        self._data = data
        self.draining = False  # about to end: alive, and not ready for more

    async def answer(self, scope: Scope, send: Send) -> bool:
        """Answer if the path is one of ours, else False."""
        path: bytes = scope["raw_path"]
        if path == b"/_health/live":
            response = _json(200, {"status": "live"})
        elif path == b"/_health/ready":
            response = await self._ready()
        elif path == b"/_metrics" and self._may_read_metrics(scope):
            response = await self._metrics_page()
        else:
            return False
        if scope["method"] not in {"GET", "HEAD"}:
            response = _json(405, {"status": "only GET and HEAD are known here"})
            response.headers.append((b"allow", b"GET, HEAD"))
        elif scope["method"] == "HEAD":
            response.body = b""
        await response.send(scope, send)
        return True

    async def _ready(self) -> Response:
        """What is down, in words: 503 without the catalog or any store, else 200 if it serves in part."""
        states = {"catalog": self._catalog_state()}
        found = await self._store_states()
        states |= {f"store {name}": state for name, state in found.items()}
        if self.draining:
            states["worker"] = "ending"
        up = [state == "ready" for state in found.values()]
        ready = states["catalog"] == "ready" and not self.draining and any(up)
        status = "not ready" if not ready else "ready" if all(up) else "ready in part"
        if last_backup(self._data).error:
            # No reason to send requests elsewhere; and what went wrong names a folder, which is nobody's business here.
            states["backup"] = "the last backup could not be made; the log says why"
        return _json(200 if ready else 503, {"status": status, **states})

    async def _store_states(self) -> dict[str, str]:
        """By name, asked all at once: one that hangs costs its own time, not also that of the others."""
        self._live.refresh()
        now = dict(self._live.now)
        asked = {number: one for number, one in now.items() if not isinstance(one.leaf, Replicated)}
        states = await asyncio.gather(*(self._store_state(number, one) for number, one in asked.items()))
        by_number = dict(zip(asked, states, strict=True))
        return {
            one.record.name: by_number[number]
            if number in asked
            else _replicated_state(number, one, now, by_number)
            for number, one in now.items()
        }

    def _catalog_state(self) -> str:
        try:
            self._database.one("SELECT 1")
        except CatalogError as error:
            return error.message
        return "ready"

    async def _store_state(self, number: int, one: StoreNow) -> str:
        # In a thread and with an end: a hung file system must not hang the question.
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                return await self._bridge.run(number, _store_state, one)
        except StoreError as error:
            return error.message
        except TimeoutError:
            return f"no answer within {_PROBE_SECONDS:.0f} s"

    def _may_read_metrics(self, scope: Scope) -> bool:
        if self._metrics == "all" or self._metrics == "off":  # noqa: PLR1714 - two words of a setting
            return self._metrics == "all"
        if self._token is not None and _bears(scope, self._token):
            return True
        return self._metrics == "local" and _is_local(scope)

    async def _metrics_page(self) -> Response:
        # In a thread: rows are counted, of which there may be many.
        usage = await self._bridge.run(0, self._usage)
        gauges = [*usage, *self._backup(), *await self._of_stores()]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Given([*self._meters.collect(), *gauges]))
        text = generate_latest(registry)
        return Response(200, [(b"content-type", CONTENT_TYPE_LATEST.encode()), _length(text)], text)

    def _usage(self) -> Iterable[Metric]:
        objects = GaugeMetricFamily("dolium_objects", "Versions of objects", labels=("tenancy",))
        stored = GaugeMetricFamily("dolium_stored_bytes", "Bytes of objects", labels=("tenancy",))
        quota = GaugeMetricFamily("dolium_quota_bytes", "Quota, where there is one", labels=("tenancy",))
        rows = self._database.all(
            "SELECT t.name, coalesce(u.objects, 0), coalesce(u.bytes, 0), t.quota_bytes FROM tenancies t "
            "LEFT JOIN tenancy_usage u ON u.tenancy_id = t.id ORDER BY t.name"
        )
        for name, count, size, limit in rows:
            objects.add_metric((name,), count)
            stored.add_metric((name,), size)
            if limit is not None:
                quota.add_metric((name,), limit)
        garbage = GaugeMetricFamily("dolium_garbage_blobs", "Blobs that wait for their grace to end")
        row = self._database.one("SELECT count(*) FROM garbage")
        garbage.add_metric((), row[0] if row else 0)
        found = damage.counts(self._database)
        damaged = GaugeMetricFamily(
            "dolium_damage", "Blobs with which something is not as it should be", labels=("state",)
        )
        for state in damage.STATES:
            damaged.add_metric((state,), found.get(state, 0))
        return (objects, stored, quota, garbage, damaged)

    def _backup(self) -> Iterable[Metric]:
        last = last_backup(self._data)
        when = GaugeMetricFamily(
            "dolium_backup_timestamp_seconds", "When the last backup was made, 0 for never"
        )
        when.add_metric((), last.made_ms / 1000)
        failed = GaugeMetricFamily("dolium_backup_failed", "1 if the last backup could not be made")
        failed.add_metric((), float(bool(last.error)))
        size = GaugeMetricFamily("dolium_backup_bytes", "Size of the last backup")
        size.add_metric((), last.size)
        return (when, failed, size)

    async def _of_stores(self) -> Iterable[Metric]:
        room = GaugeMetricFamily("dolium_store_bytes", "Room of a store", labels=("store", "kind"))
        objects = GaugeMetricFamily("dolium_store_objects", "Objects in a store", labels=("store",))
        up = GaugeMetricFamily("dolium_store_up", "Whether a store answers", labels=("store",))
        state = GaugeMetricFamily("dolium_store_state", "What a store may do", labels=("store", "state"))
        copies = GaugeMetricFamily(
            "dolium_repairs",
            "Copies that a member of a replicated store is to get",
            labels=("store", "group"),
        )
        filled = GaugeMetricFamily(
            "dolium_store_filled",
            "Whether a member of a replicated store has had all copies",
            labels=("store", "group"),
        )
        waiting = await self._bridge.run(0, replicas.waiting, self._database)
        for replica in replicas.every(self._database):
            group, member = self._live.now.get(replica.group_id), self._live.now.get(replica.store_id)
            if group is not None and member is not None:
                names = (member.record.name, group.record.name)
                copies.add_metric(names, waiting.get((replica.group_id, replica.store_id), 0))
                filled.add_metric(names, float(replica.place is None))
        states = await self._store_states()
        holdings = await self._bridge.run(0, self._live.holdings)
        for number, one in self._live.now.items():
            name, held = one.record.name, holdings.get(number, Holding())
            objects.add_metric((name,), held.objects)
            room.add_metric((name, "stored"), held.bytes)
            up.add_metric((name,), float(states.get(name) == "ready"))
            for possible in State:
                state.add_metric((name, possible), float(one.state is possible))
            reports = unwrap(one.store, ReportsSpace)
            if reports is None:
                continue
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    space: Space | None = await self._bridge.run(number, reports.space)
            except (StoreError, TimeoutError):
                continue  # down: its room is not known
            if space is not None:
                room.add_metric((name, "total"), space.total)
                room.add_metric((name, "free"), space.free)
        return (room, objects, up, state, copies, filled)


class _Given(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _replicated_state(
    number: int, one: StoreNow, now: Mapping[int, StoreNow], states: Mapping[int, str]
) -> str:
    """By the states of its members: one that hangs says nothing of the others."""
    assert isinstance(one.leaf, Replicated)
    if one.state is State.OFFLINE:
        return "the store is offline"
    members = [states[member] for member, other in now.items() if other.group == number]
    ready = sum(state == "ready" for state in members)
    if ready < one.leaf.write_quorum:
        return f"{ready} of its {len(members)} members answer, and a write needs {one.leaf.write_quorum}"
    return "ready"


def _store_state(one: StoreNow) -> str:
    if one.state is State.OFFLINE:
        return "the store is offline"
    if isinstance(one.leaf, Disk):
        one.leaf.identify()
        if one.leaf.suspect:
            return "a write to the disk of this store failed; it is asked again soon"
        if isinstance(one.store, Guarded) and one.store.health.breaker.is_open:
            one.store.probe()  # it is back: who asks us may rely on it from now on
    elif isinstance(one.store, Guarded):
        one.store.probe()
    return "ready"


def _bears(scope: Scope, token: Secret) -> bool:
    expected = b"Bearer " + token.reveal().encode()
    said = [value for name, value in scope["headers"] if name == b"authorization"]
    return len(said) == 1 and hmac.compare_digest(said[0], expected)


def _is_local(scope: Scope) -> bool:
    """Whether somebody on this machine asks for this machine, and no proxy for somebody else.

    A proxy that adds no header and passes on the Host that it was sent cannot be told from a person here.
    """
    client = scope.get("client")
    if client is None or not _is_loopback(str(client[0])):
        return False
    names = dict(scope["headers"])
    if not _FORWARDED.isdisjoint(names):
        return False
    host = names.get(b"host", b"").decode("latin-1")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower() == "localhost" or _is_loopback(name)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _json(status: int, facts: Mapping[str, str]) -> Response:
    text = json.dumps(facts).encode() + b"\n"
    headers = [(b"content-type", b"application/json"), _length(text), (b"cache-control", b"no-store")]
    return Response(status, headers, text)


def _length(text: bytes) -> tuple[bytes, bytes]:
    return b"content-length", str(len(text)).encode()
