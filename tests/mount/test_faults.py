# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that go away, objects that change under a copy, and a daemon that is killed."""

import os
import subprocess
import threading
import time

import pytest
from fakes import Proxy, SlowLink, s3_error
from rig import MIB, Mount, Pattern, run, wait_until

pytestmark = pytest.mark.servers("versitygw")


def test_a_server_that_comes_back(src, own_server, make_mount):
    server = own_server()
    dst = server.make_bucket()
    src.upload("big", Pattern("big", 60 * MIB))
    mount = make_mount({"src": src, "dst": dst})
    os.listdir(mount / "dst")
    with SlowLink(src.server, bytes_per_second=40 * MIB) as link:
        slow = make_mount({"src": src.via(link.endpoint), "dst": dst})
        cp = subprocess.Popen(["cp", slow / "src/big", slow / "dst/copy"], stderr=subprocess.PIPE)
        time.sleep(0.7)
        server.kill()
        time.sleep(1)
        server.start()
        assert cp.wait(60) == 0, cp.stderr.read()
        assert dst.sha256("copy") == Pattern("big", 60 * MIB).sha256()
        cp.stderr.close()
        slow.stop()


def test_a_server_that_stays_away(src, own_server, make_mount):
    server = own_server()
    dst = server.make_bucket()
    dst.put("f", b"old")
    src.put("f", b"new content")
    mount = make_mount({"src": src, "dst": dst})
    os.stat(mount / "dst/f")
    os.stat(mount / "src/f")
    server.kill()
    cp = subprocess.Popen(["cp", mount / "src/f", mount / "dst/f"], stderr=subprocess.DEVNULL)
    time.sleep(1)
    cp.kill()
    cp.wait(5)
    assert (mount / "src/f").read_bytes() == b"new content"
    server.start()
    mount.wait(check=False)
    assert dst.get("f") in (b"old", b"new content")


@pytest.mark.parametrize("within", (True, False))
def test_a_source_that_changed_since_it_was_looked_at(src, dst, make_mount, within):
    src.upload("f", Pattern("one", 20 * MIB))
    target, name = (src, "src") if within else (dst, "dst")
    target.put("copy", b"as it was")
    with SlowLink(src.server, bytes_per_second=5 * MIB) as link:
        mount = make_mount({"src": src.via(link.endpoint), "dst": dst})
        os.stat(mount / "src/f")
        os.stat(mount / name / "copy")
        with open(mount / "src/f", "rb") as f:
            src.upload("f", Pattern("two", 20 * MIB))
            failed = subprocess.run(["cp", f"/proc/self/fd/{f.fileno()}", mount / name / "copy"], pass_fds=[f.fileno()])
        link.bytes_per_second = 1 << 40
        if failed.returncode:
            assert target.get("copy") == b"as it was"
        else:
            assert target.sha256("copy") == Pattern("two", 20 * MIB).sha256()
        mount.stop()


def test_a_source_that_changes_during_the_copy(src, dst, make_mount):
    src.upload("f", Pattern("one", 40 * MIB))
    dst.put("copy", b"as it was")
    with SlowLink(src.server, bytes_per_second=8 * MIB) as link:
        mount = make_mount({"src": src.via(link.endpoint), "dst": dst})
        os.stat(mount / "dst/copy")
        cp = subprocess.Popen(["cp", mount / "src/f", mount / "dst/copy"], stderr=subprocess.DEVNULL)
        time.sleep(0.8)
        src.upload("f", Pattern("two", 40 * MIB))
        link.bytes_per_second = 1 << 40
        status = cp.wait(60)
        if status:
            assert dst.get("copy") == b"as it was"
        else:
            assert dst.sha256("copy") in (Pattern("one", 40 * MIB).sha256(), Pattern("two", 40 * MIB).sha256())
        assert (mount / "dst/copy").stat().st_size == dst.head("copy")["ContentLength"]
        mount.stop()
    assert dst.uploads() == []


@pytest.mark.parametrize("longer", (True, False))
def test_a_source_that_changed_its_length_since_it_was_looked_at(src, dst, make_mount, longer):
    """The kernel's idea of the length is up to a second old: no copy may have the old length and the new bytes."""
    old, new = Pattern("old", 300_000).read(), Pattern("new", 400_000 if longer else 200_000).read()
    mount = make_mount({"src": src, "dst": dst}, {"metadata_ttl": "0"})
    for i in range(3):
        src.put("f", old)
        time.sleep(1.1)
        assert os.stat(mount / "src/f").st_size == len(old)
        src.put("f", new)
        failed = run("cp", mount / "src/f", mount / f"dst/{i}", check=False).returncode
        assert failed or dst.get(str(i)) == new
        assert (mount / "src/f").read_bytes() == new


def test_a_source_that_was_deleted(src, dst, make_mount):
    src.put("f", b"x" * 1000)
    dst.put("copy", b"as it was")
    mount = make_mount({"src": src, "dst": dst})
    os.stat(mount / "src/f")
    os.stat(mount / "dst/copy")
    src.delete("f")
    failed = run("cp", mount / "src/f", mount / "dst/copy", check=False)
    assert failed.returncode == 1
    assert dst.get("copy") == b"as it was"
    assert run("cat", mount / "src/f", check=False).returncode == 1


def test_errors_that_pass_are_not_seen(two_servers, src, dst, make_mount):
    lock, answered = threading.Lock(), {}

    def twice(request):
        with lock:
            key = (request.command, request.path.split("X-Amz")[0])
            answered[key] = answered.get(key, 0) + 1
            if answered[key] <= 2:
                return 503, {"Content-Type": "application/xml"}, s3_error("SlowDown")

    src.upload("big", Pattern("big", 20 * MIB))
    for i in range(10):
        src.put(f"t/{i}", b"%d" % i)
    with Proxy(two_servers[0], twice) as a, Proxy(two_servers[1], twice) as b:
        mount = make_mount({"src": src.via(a.endpoint), "dst": dst.via(b.endpoint)})
        run("cp", "-r", mount / "src/t", mount / "src/big", mount / "dst/")
        mount.wait()
        assert dst.sha256("big") == Pattern("big", 20 * MIB).sha256()
        assert len(dst.files("t/")) == 10
        mount.stop()


def test_a_part_that_is_refused_while_writing(two_servers, dst, make_mount):
    def rule(request):
        if request.command == "PUT" and "partNumber=2" in request.path:
            return 403, {"Content-Type": "application/xml"}, s3_error("AccessDenied")

    dst.put("f", b"as it was")
    with Proxy(two_servers[1], rule) as proxy:
        mount = make_mount({"dst": dst.via(proxy.endpoint)})
        failed = run("dd", "if=/dev/zero", f"of={mount / 'dst/f'}", "bs=1M", "count=60", "conv=fsync", check=False)
        assert failed.returncode == 1
        mount.wait(check=False)
        assert dst.get("f") in (b"as it was", b"")
        wait_until(lambda: not dst.uploads(), 20, "the end of the failed upload")
        mount.stop()


def test_a_killed_daemon_leaves_no_half_object(src, dst, make_mount, tmp_path):
    src.upload("big", Pattern("big", 40 * MIB))
    dst.put("old", b"as it was")
    with SlowLink(dst.server, bytes_per_second=4 * MIB) as link:
        mount = Mount(tmp_path, {"src": src, "dst": dst.via(link.endpoint)}, name="killed").start()
        os.stat(mount / "dst/old")
        cps = [
            subprocess.Popen(["cp", mount / "src/big", mount / "dst" / name], stderr=subprocess.DEVNULL)
            for name in ("old", "new")
        ]
        time.sleep(1.5)
        mount.kill()
        for cp in cps:
            assert cp.wait(10) != 0
        mount.abandon()
    assert dst.get("old") == b"as it was"
    assert not dst.exists("new")
    again = make_mount({"src": src, "dst": dst})
    run("cp", again / "src/big", again / "dst/new")
    assert dst.sha256("new") == Pattern("big", 40 * MIB).sha256()
