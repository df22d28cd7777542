# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C and kill: a program that waits for S3 is gone at once, and what it was to replace is untouched."""

import os
import signal
import subprocess
import time

import pytest
from fakes import SlowLink
from rig import MIB, Pattern, run, wait_until

pytestmark = pytest.mark.servers("versitygw")

SIZE = 30 * MIB


def ends_within(process, seconds):
    started = time.monotonic()
    process.wait(seconds)
    return time.monotonic() - started


@pytest.fixture
def slow(two_servers):
    with SlowLink(two_servers[1], bytes_per_second=2 * MIB) as link:
        yield link


@pytest.mark.parametrize("sig", (signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
@pytest.mark.parametrize("existing", (False, True))
def test_cp_over_a_slow_link(src, dst, slow, make_mount, sig, existing):
    src.upload("big", Pattern("big", SIZE))
    if existing:
        dst.put("copy", b"as it was")
    mount = make_mount({"src": src, "dst": dst.via(slow.endpoint)})
    os.stat(mount / "src/big")
    os.path.exists(mount / "dst/copy")
    cp = subprocess.Popen(["cp", mount / "src/big", mount / "dst/copy"], stderr=subprocess.DEVNULL)
    time.sleep(1.5)
    assert cp.poll() is None, "the link was not slow enough"
    cp.send_signal(sig)
    assert ends_within(cp, 10) < 3
    assert cp.returncode != 0
    slow.bytes_per_second = 1 << 40
    mount.wait(check=False)
    if existing:
        assert dst.get("copy") == b"as it was"
    else:
        assert not dst.exists("copy")
    wait_until(lambda: not dst.uploads(), 20, "the end of the upload that was given up")
    assert src.sha256("big") == Pattern("big", SIZE).sha256()
    run("cp", mount / "src/big", mount / "dst/copy")
    assert dst.sha256("copy") == Pattern("big", SIZE).sha256()


@pytest.mark.parametrize("sig", (signal.SIGINT, signal.SIGKILL))
def test_a_server_that_does_not_answer(own_server, make_mount, sig):
    server = own_server()
    bucket = server.make_bucket()
    bucket.upload("big", Pattern("big", SIZE))
    bucket.put("d/f", b"x")
    mount = make_mount({"b": bucket})
    os.stat(mount / "b/big")
    server.pause()
    waiting = [
        subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for argv in (
            ["cat", mount / "b/big"],
            ["ls", "-la", mount / "b/d"],
            ["cp", mount / "b/big", mount / "b/copy"],
            ["mkdir", mount / "b/new"],
            ["rm", "-f", mount / "b/big"],
        )
    ]
    time.sleep(1)
    for process in waiting:
        process.send_signal(sig)
    left = [p.args[0] for p in waiting if not exits(p, 5)]
    server.resume()
    assert left == []
    mount.wait(check=False)
    assert (mount / "b/d/f").read_bytes() == b"x"


def exits(process, seconds):
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        return False


def test_an_interrupted_writer(dst, slow, make_mount):
    """What a program was killed over is not committed half."""
    dst.put("f", b"old")
    mount = make_mount({"dst": dst.via(slow.endpoint)})
    dd = subprocess.Popen(
        ["dd", "if=/dev/urandom", f"of={mount / 'dst/new'}", "bs=1M", "count=200"], stderr=subprocess.DEVNULL
    )
    time.sleep(1.5)
    dd.kill()
    assert ends_within(dd, 10) < 4
    slow.bytes_per_second = 1 << 40
    mount.wait(check=False)
    mount.unmount()
    assert dst.uploads() == []


def test_interrupted_rename_of_a_tree(own_server, make_mount):
    server = own_server()
    bucket = server.make_bucket()
    for i in range(20):
        bucket.put(f"from/{i}", b"%d" % i)
    mount = make_mount({"b": bucket})
    os.listdir(mount / "b/from")
    server.pause()
    mv = subprocess.Popen(["mv", mount / "b/from", mount / "b/to"], stderr=subprocess.DEVNULL)
    time.sleep(1)
    mv.send_signal(signal.SIGINT)
    gone = exits(mv, 5)
    server.resume()
    assert gone
    mount.wait(check=False)
    time.sleep(0.5)
    keys = bucket.files()
    assert keys in ([f"from/{i}" for i in sorted(map(str, range(20)))], [f"to/{i}" for i in sorted(map(str, range(20)))])
