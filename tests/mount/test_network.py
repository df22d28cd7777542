# SPDX-License-Identifier: GPL-3.0-or-later
"""The real engine over links that are long, change, break and stall, and a server that asks to slow down."""

import subprocess
import threading
import time

import pytest
from fakes import Proxy, s3_error
from rig import MIB, Pattern, Toxiproxy, run, wait_until

pytestmark = pytest.mark.servers("versitygw")


@pytest.fixture
def toxiproxy(tmp_path):
    with Toxiproxy(tmp_path) as proxy:
        yield proxy


@pytest.fixture
def links(toxiproxy, two_servers):
    return [toxiproxy.add(server.endpoint) for server in two_servers]


@pytest.fixture
def far_mount(links, src, dst, make_mount):
    """far_mount(engine): both buckets, each at the end of its link."""

    def make(engine=None, **kw):
        buckets = {"src": src.via(links[0].endpoint), "dst": dst.via(links[1].endpoint)}
        return make_mount(buckets, {"writeback": "all", **(engine or {})}, **kw)

    return make


def paths(mount):
    """{(endpoint, direction): what the status says about it}."""
    return {(p["endpoint"], p["direction"]): p for p in mount.status()["engine"]["network"]}


def test_a_copy_survives_a_longer_way_and_a_narrower_one(links, src, dst, far_mount):
    src.upload("big", Pattern("big", 96 * MIB))
    for link in links:
        link.set(rtt_ms=6, mb_per_s=3)
    mount = far_mount()
    run("cp", mount / "src/big", mount / "dst/copy")
    time.sleep(0.5)
    for link in links:
        link.set(rtt_ms=160, mb_per_s=3)
    time.sleep(0.7)
    assert not dst.exists("copy")
    links[1].set(rtt_ms=160, mb_per_s=1)
    time.sleep(1)
    for link in links:
        link.set(rtt_ms=20, mb_per_s=40)
    mount.wait()
    assert dst.sha256("copy") == Pattern("big", 96 * MIB).sha256()
    assert dst.uploads() == []


@pytest.mark.parametrize("side, stream", ((0, "downstream"), (1, "upstream")))
def test_connections_that_break_in_the_middle_are_made_again(links, src, dst, far_mount, side, stream):
    src.upload("big", Pattern("big", 48 * MIB))
    for i in range(20):
        src.put(f"tree/{i}", Pattern(str(i), 100_000).read())
    # Each connection carries so much and no more: a part of 8 MiB always breaks, until that ends.
    links[side].toxic("limit_data", stream, bytes=3 * MIB)
    mount = far_mount()
    run("cp", "-r", mount / "src/tree", mount / "src/big", mount / "dst/")
    wait_until(lambda: mount.status()["requests"]["retries"] >= 5, 20, "requests that are tried again")
    links[side].heal("limit_data", stream)
    links[side].toxic("reset_peer", stream, timeout=300)
    time.sleep(1)
    links[side].heal("reset_peer", stream)
    mount.wait()
    assert dst.sha256("big") == Pattern("big", 48 * MIB).sha256()
    assert dst.contents("tree/") == src.contents("tree/")
    assert dst.uploads() == []
    assert sum(p["errors"] for p in paths(mount).values()) >= 5


def test_the_band_follows_the_distance(links, src, far_mount):
    mount = far_mount({"metadata_ttl": "0"})
    for rtt_ms, band in ((240, "fair"), (70, "good"), (6, "excellent")):
        for link in links:
            link.set(rtt_ms=rtt_ms)
        for i in range(3):
            src.put(f"{rtt_ms}-{i}", b"x" * 1000)
        run("cp", *(mount / f"src/{rtt_ms}-{i}" for i in range(3)), mount / "dst/")
        mount.wait()
        found = paths(mount)
        assert {p["quality"] for p in found.values()} == {band}
        assert {link.endpoint for link in links} == {endpoint for endpoint, _ in found}
        for p in found.values():
            assert rtt_ms <= p["rtt_us"] / 1000 < rtt_ms + 40


def test_a_server_that_refuses_is_asked_less_often(two_servers, src, dst, make_mount):
    """Above so many requests a second it answers 503: nothing fails, and soon few requests are wasted."""
    per_s, lock = 60, threading.Lock()
    bucket = {"tokens": 15.0, "at": time.monotonic(), "passed": 0, "refused": 0}

    def refuse(request):
        with lock:
            now = time.monotonic()
            bucket["tokens"] = min(15.0, bucket["tokens"] + (now - bucket["at"]) * per_s)
            bucket["at"] = now
            if bucket["tokens"] < 1:
                bucket["refused"] += 1
                return 503, {"Content-Type": "application/xml"}, s3_error("SlowDown")
            bucket["tokens"] -= 1
            bucket["passed"] += 1

    for i in range(200):
        src.put(f"tree/{i}", b"%d" % i)
    with Proxy(two_servers[1], refuse) as proxy:
        mount = make_mount({"src": src, "dst": dst.via(proxy.endpoint)}, {"writeback": "all"})
        run("cp", "-r", mount / "src/tree", mount / "dst/")
        wait_until(lambda: bucket["passed"] > 100, 60, "half of the objects")
        first = dict(bucket)
        mount.wait()
        write = paths(mount)[proxy.endpoint, "write"]
        assert write["throttled"] > 0
        passed, refused = bucket["passed"] - first["passed"], bucket["refused"] - first["refused"]
        assert refused < 0.1 * passed
        assert mount.status()["changes"]["failed"] == 0
        assert len(dst.files("tree/")) == 200
        mount.stop()


def test_a_way_that_stalls_is_left_and_tried_again(links, src, dst, far_mount):
    """Nothing arrives and nothing is refused, as behind a firewall that has lost its state."""
    src.upload("big", Pattern("big", 64 * MIB))
    src.put("small", b"x")
    for link in links:
        link.set(mb_per_s=8)
    mount = far_mount()
    run("cp", mount / "src/small", mount / "dst/small")  # so that the engine knows how soon the servers answer
    mount.wait()
    cp = subprocess.Popen(["cp", mount / "src/big", mount / "dst/copy"])
    assert cp.wait(10) == 0
    time.sleep(0.7)
    links[1].toxic("timeout", "upstream", timeout=0)
    try:
        wait_until(lambda: mount.status()["requests"]["retries"] > 0, 30, "the first request that is given up")
    finally:
        links[1].heal("timeout", "upstream")
    mount.wait()
    assert dst.sha256("copy") == Pattern("big", 64 * MIB).sha256()
