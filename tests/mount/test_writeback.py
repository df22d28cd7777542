# SPDX-License-Identifier: GPL-3.0-or-later
"""When is it durable: writeback=none says so with the close, writeback=all with `wait`, fsync and the unmount."""

import os
import time

import pytest
from fakes import Proxy, s3_error
from rig import MIB, Mount, Pattern, run

only_fast = pytest.mark.servers("versitygw")


def slow_changes(seconds):
    def rule(request):
        if request.command in ("PUT", "POST", "DELETE"):
            time.sleep(seconds)

    return rule


def deny(*keys):
    def rule(request):
        if request.command in ("PUT", "POST") and any(key in request.path for key in keys):
            return 403, {"Content-Type": "application/xml"}, s3_error("AccessDenied")

    return rule


def test_none_has_it_in_s3_when_the_program_ends(src, dst, mount):
    src.upload("big", Pattern("big", 12 * MIB))
    run("cp", mount / "src/big", mount / "dst/big")
    assert dst.sha256("big") == Pattern("big", 12 * MIB).sha256()
    (mount / "dst/f").write_bytes(b"x")
    assert dst.get("f") == b"x"
    os.chmod(mount / "dst/f", 0o600)
    assert dst.meta("f")["mode"] == "0100600"
    os.mkdir(mount / "dst/d")
    assert dst.exists("d/")
    os.unlink(mount / "dst/f")
    assert not dst.exists("f")


@only_fast
def test_all_returns_before_s3_has_it(two_servers, src, dst, make_mount):
    src.put("f", b"content")
    with Proxy(two_servers[1], slow_changes(1.5)) as proxy:
        mount = make_mount({"src": src, "dst": dst.via(proxy.endpoint)}, {"writeback": "all"})
        started = time.monotonic()
        run("cp", mount / "src/f", mount / "dst/f")
        (mount / "dst/g").write_bytes(b"data")
        os.mkdir(mount / "dst/d")
        assert time.monotonic() - started < 1.2
        assert sorted(os.listdir(mount / "dst")) == ["d", "f", "g"]
        assert (mount / "dst/f").read_bytes() == b"content"
        mount.wait()
        assert dst.get("f") == b"content" and dst.get("g") == b"data" and dst.exists("d/")
        mount.stop()


@only_fast
def test_all_keeps_the_order_of_copy_and_removal(two_servers, src, dst, make_mount):
    src.upload("a", Pattern("a", 6 * MIB))
    with Proxy(two_servers[1], slow_changes(0.5)) as proxy:
        mount = make_mount({"src": src, "dst": dst.via(proxy.endpoint)}, {"writeback": "all"})
        run("sh", "-c", 'cp "$1" "$2" && rm "$1"', "sh", mount / "src/a", mount / "dst/b")
        assert not (mount / "src/a").exists()
        mount.wait()
        assert dst.sha256("b") == Pattern("a", 6 * MIB).sha256()
        assert not src.exists("a")
        mount.stop()


@only_fast
def test_all_keeps_the_source_when_the_copy_fails(two_servers, src, dst, tmp_path):
    src.put("a", b"precious")
    with Proxy(two_servers[1], deny("/b")) as proxy:
        mount = Mount(tmp_path, {"src": src, "dst": dst.via(proxy.endpoint)}, {"writeback": "all"}).start()
        run("sh", "-c", 'cp "$1" "$2" && rm "$1"', "sh", mount / "src/a", mount / "dst/b")
        failed = mount.wait(check=False)
        assert failed.returncode == 1
        assert "/dst/b" in failed.stdout + failed.stderr
        assert src.get("a") == b"precious"
        assert (mount / "src/a").read_bytes() == b"precious"
        mount.abandon()


@only_fast
def test_all_overwritten_source_waits_for_its_copies(two_servers, src, dst, make_mount):
    src.upload("a", Pattern("old", 6 * MIB))
    with Proxy(two_servers[1], slow_changes(0.5)) as proxy:
        mount = make_mount({"src": src, "dst": dst.via(proxy.endpoint)}, {"writeback": "all"})
        run("sh", "-c", 'cp "$1" "$2" && echo new > "$1"', "sh", mount / "src/a", mount / "dst/b")
        mount.wait()
        assert dst.sha256("b") == Pattern("old", 6 * MIB).sha256()
        assert src.get("a") == b"new\n"
        mount.stop()


@only_fast
def test_all_mv_of_a_tree_between_buckets(src, dst, make_mount):
    for i in range(30):
        src.put(f"t/{i % 3}/{i}", b"%d" % i)
    mount = make_mount({"src": src, "dst": dst}, {"writeback": "all"})
    run("mv", mount / "src/t", mount / "dst/t")
    mount.wait()
    assert {k: dst.get(k) for k in dst.files()} == {f"t/{i % 3}/{i}": b"%d" % i for i in range(30)}
    assert src.keys() == []


@only_fast
def test_failures_are_listed_until_somebody_deals_with_them(two_servers, src, dst, make_mount):
    with Proxy(two_servers[1], deny("/bad")) as proxy:
        mount = make_mount({"src": src, "dst": dst.via(proxy.endpoint)}, {"writeback": "all"})
        (mount / "dst/bad").write_bytes(b"x")
        (mount / "dst/good").write_bytes(b"y")
        for _ in range(2):
            failed = mount.wait(check=False)
            assert failed.returncode == 1
            assert "/dst/bad" in failed.stdout + failed.stderr
        assert dst.keys() == ["good"]
        with pytest.raises(OSError):
            (mount / "dst/bad").read_bytes()
        os.unlink(mount / "dst/bad")
        mount.wait()
        mount.stop()


@only_fast
def test_a_refused_write_is_an_error_of_the_program(two_servers, dst, make_mount):
    dst.put("bad", b"old")
    with Proxy(two_servers[1], deny("/bad", "/new-bad")) as proxy:
        mount = make_mount({"dst": dst.via(proxy.endpoint)})
        for name in ("bad", "new-bad"):
            failed = run("cp", "/etc/hostname", mount / "dst" / name, check=False)
            assert failed.returncode == 1, name
        assert (mount / "dst/bad").read_bytes() == b"old"
        assert os.listdir(mount / "dst") == ["bad"]
        assert dst.keys() == ["bad"] and dst.get("bad") == b"old"
        mount.stop()


@only_fast
def test_fsync_makes_durable_whatever_the_mode(dst, make_mount):
    mount = make_mount({"dst": dst}, {"writeback": "all"})
    with open(mount / "dst/f", "wb", buffering=0) as f:
        f.write(b"one")
        os.fsync(f.fileno())
        assert dst.get("f") == b"one"
        f.write(b" two")
    mount.wait()
    assert dst.get("f") == b"one two"


@only_fast
def test_thousands_of_small_files(dst, make_mount):
    mount = make_mount({"dst": dst}, {"writeback": "all"})
    for i in range(1500):
        (mount / f"dst/{i}").write_bytes(b"%d" % i)
    for i in range(0, 1500, 3):
        os.unlink(mount / f"dst/{i}")
    for i in range(1, 1500, 3):
        os.rename(mount / f"dst/{i}", mount / f"dst/r{i}")
    mount.wait()
    assert sorted(dst.keys()) == sorted([f"r{i}" for i in range(1, 1500, 3)] + [str(i) for i in range(2, 1500, 3)])
    assert dst.get("r400") == b"400" and dst.get("401") == b"401"
