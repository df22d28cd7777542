# SPDX-License-Identifier: GPL-3.0-or-later
"""cp, mv, install, tar: whole files and trees, within a server and between two."""

import concurrent.futures
import hashlib
import os
import random
import stat
import tarfile

import pytest
from rig import MIB, Pattern, run

only_fast = pytest.mark.servers("versitygw")

SIZES = {
    "0": 0, "1": 1, "5M-1": 5 * MIB - 1, "5M": 5 * MIB, "5M+1": 5 * MIB + 1,
    "16M-1": 16 * MIB - 1, "16M": 16 * MIB, "16M+1": 16 * MIB + 1,
}  # fmt: skip


def fill(bucket, sizes=SIZES, prefix=""):
    for name, size in sizes.items():
        bucket.upload(prefix + name, Pattern(name, size))
    return {name: Pattern(name, size).sha256() for name, size in sizes.items()}


@pytest.mark.parametrize("to", ("src", "dst"))
def test_cp_of_every_size(src, dst, mount, to):
    want = fill(src)
    bucket = src if to == "src" else dst
    for name in SIZES:
        run("cp", mount / "src" / name, mount / to / f"c-{name}")
    mount.wait()
    assert bucket.contents("c-") == {f"c-{name}": digest for name, digest in want.items()}
    assert bucket.uploads() == []


@pytest.mark.parametrize("to", ("src", "dst"))
@only_fast
def test_cp_of_a_hundred_megabytes(src, dst, mount, to):
    want = fill(src, {"big": 100 * MIB})
    bucket = src if to == "src" else dst
    run("cp", mount / "src/big", mount / to / "copy")
    mount.wait()
    assert bucket.sha256("copy") == want["big"]
    assert bucket.uploads() == []


def test_cp_p_keeps_mode_and_time(src, dst, mount):
    src.put("f", b"x" * 1000, Metadata={"mode": "0100750", "mtime": "1000000000.000000005"})
    run("cp", "-p", mount / "src/f", mount / "dst/f")
    mount.wait()
    meta = dst.meta("f")
    assert (meta["mode"], meta["mtime"]) == ("0100750", "1000000000.000000005")
    st = os.stat(mount / "dst/f")
    assert (stat.S_IMODE(st.st_mode), st.st_mtime_ns) == (0o750, 10**18 + 5)


@only_fast
def test_cp_a_keeps_a_tree_as_it_is(src, dst, mount):
    fill(src, {"a": 10, "d/b": 2000, "d/e/c": 70_000}, "t/")
    os.chmod(mount / "src/t/d/b", 0o600)
    os.utime(mount / "src/t/d", (10**9, 10**9))
    os.symlink("d/b", mount / "src/t/link")
    run("cp", "-a", mount / "src/t", mount / "dst/t")
    mount.wait()
    listing = "cd {} && find . -printf '%p %y %m %T@ %l\\n' | sort"
    assert run("sh", "-c", listing.format(mount / "src/t")).stdout == run("sh", "-c", listing.format(mount / "dst/t")).stdout


def test_what_the_object_carries_is_copied(src, dst, mount):
    src.put("f", b"x" * 100, ContentType="text/x-test; charset=utf-8", CacheControl="max-age=5", Metadata={"colour": "blue"})
    for to in ("src/g", "dst/g"):
        run("cp", mount / "src/f", mount / to)
    mount.wait()
    for bucket in (src, dst):
        head = bucket.head("g")
        assert head["ContentType"] == "text/x-test; charset=utf-8"
        assert head["CacheControl"] == "max-age=5"
        assert head["Metadata"]["colour"] == "blue"


@only_fast
def test_cp_onto_an_existing_file_takes_the_sources_type(src, dst, mount):
    src.put("f", b"x" * 100, ContentType="image/png")
    dst.put("f", b"old", ContentType="text/plain")
    run("cp", mount / "src/f", mount / "dst/f")
    mount.wait()
    assert dst.get("f") == b"x" * 100
    assert dst.head("f")["ContentType"] == "image/png"


@only_fast
def test_install_and_cat(src, dst, mount):
    want = fill(src, {"f": 3 * MIB})
    run("install", "-m", "0711", mount / "src/f", mount / "dst/installed")
    run("sh", "-c", 'cat "$1" > "$2"', "sh", mount / "src/f", mount / "dst/cat")
    run("sh", "-c", 'cat "$1" "$1" > "$2"', "sh", mount / "src/f", mount / "dst/twice")
    mount.wait()
    assert dst.sha256("installed") == dst.sha256("cat") == want["f"]
    assert dst.meta("installed")["mode"] == "0100711"
    assert dst.get("twice") == Pattern("f", 3 * MIB).read() * 2


@only_fast
def test_a_copy_of_a_copy_and_of_an_edited_file(src, dst, mount):
    data = bytearray(Pattern("f", 8 * MIB).read())
    fill(src, {"f": 8 * MIB})
    with open(mount / "src/f", "r+b", buffering=0) as f:
        f.seek(MIB)
        f.write(b"edited")
        data[MIB : MIB + 6] = b"edited"
        run("cp", mount / "src/f", mount / "dst/one")
    run("cp", mount / "dst/one", mount / "src/two")
    mount.wait()
    digest = hashlib.sha256(data).hexdigest()
    assert dst.sha256("one") == src.sha256("two") == src.sha256("f") == digest


@only_fast
def test_sixteen_cps_at_once(src, dst, mount):
    want = fill(src, {str(i): 3 * MIB + i for i in range(16)})
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: run("cp", mount / f"src/{i}", mount / f"dst/{i}"), range(16)))
    mount.wait()
    assert dst.contents() == want


@only_fast
def test_cp_out_of_the_mount_and_into_it(src, dst, mount, tmp_path):
    want = fill(src, {"f": 20 * MIB + 1})
    run("cp", mount / "src/f", tmp_path / "f")
    assert hashlib.sha256((tmp_path / "f").read_bytes()).hexdigest() == want["f"]
    run("cp", tmp_path / "f", mount / "dst/f")
    mount.wait()
    assert dst.sha256("f") == want["f"]


# ------------------------------------------------------------------------------------------------------- mv


def test_mv_of_a_file_between_buckets(src, dst, mount):
    want = fill(src, {"f": 6 * MIB})
    run("mv", mount / "src/f", mount / "dst/g")
    mount.wait()
    assert dst.sha256("g") == want["f"]
    assert src.keys() == []


def test_mv_onto_an_existing_file(src, mount):
    want = fill(src, {"a": 2000, "b": 10})
    run("mv", mount / "src/a", mount / "src/b")
    mount.wait()
    assert src.contents() == {"b": want["a"]}
    assert not (mount / "src/a").exists()


def test_mv_of_a_tree_in_a_bucket(src, mount):
    want = fill(src, {"a": 5, "s/b": 70_000, "s/t/c": 6 * MIB, "s/empty": 0}, "from/")
    (mount / "src/from/hollow").mkdir()
    (mount / "src/from/fresh").write_bytes(b"just written")
    run("mv", mount / "src/from", mount / "src/to")
    assert not (mount / "src/from").exists()
    assert (mount / "src/to/fresh").read_bytes() == b"just written"
    assert sorted(os.listdir(mount / "src/to")) == ["a", "fresh", "hollow", "s"]
    mount.wait()
    contents = src.contents()
    assert contents.pop("to/fresh") == hashlib.sha256(b"just written").hexdigest()
    assert contents == {f"to/{k}": v for k, v in want.items()}
    assert src.keys("from/") == []


@only_fast
def test_mv_of_a_tree_keeps_open_files_usable(src, mount):
    src.put("from/f", b"held" * 1000)
    with open(mount / "src/from/f", "rb", buffering=0) as held:
        run("mv", mount / "src/from", mount / "src/to")
        assert held.read() == b"held" * 1000


@only_fast
def test_mv_of_a_directory_that_exists_only_here(src, mount):
    run("mkdir", "-p", mount / "src/a/b/c")
    (mount / "src/a/b/c/f").write_bytes(b"x")
    run("mv", mount / "src/a/b", mount / "src/z")
    mount.wait()
    assert src.files() == ["z/c/f"]
    assert (mount / "src/z/c/f").read_bytes() == b"x"
    assert os.listdir(mount / "src/a") == []


@only_fast
def test_rename_chains_end_where_they_should(src, mount):
    src.put("a", b"A")
    src.put("b", b"B")
    os.rename(mount / "src/a", mount / "src/t")
    os.rename(mount / "src/b", mount / "src/a")
    os.rename(mount / "src/t", mount / "src/b")
    for i in range(5):
        os.rename(mount / "src" / ("b" if i % 2 == 0 else "c"), mount / "src" / ("c" if i % 2 == 0 else "b"))
    mount.wait()
    assert {k: src.get(k) for k in src.keys()} == {"a": b"B", "c": b"A"}


@only_fast
def test_a_name_given_away_by_rename_can_be_used_at_once(src, mount):
    src.put("log", b"old")
    os.rename(mount / "src/log", mount / "src/log.1")
    (mount / "src/log").write_bytes(b"new")
    assert (mount / "src/log.1").read_bytes() == b"old"
    mount.wait()
    assert {k: src.get(k) for k in src.keys()} == {"log": b"new", "log.1": b"old"}


# ------------------------------------------------------------------------------------------------------ tar


@only_fast
def test_tar_within_the_mount(src, dst, mount):
    fill(src, {"a": 10, "d/b": 200_000, "d/e/c": 6 * MIB}, "t/")
    os.symlink("a", mount / "src/t/link")
    run("tar", "-czf", mount / "dst/t.tgz", "-C", mount / "src", "t")
    run("tar", "-xzf", mount / "dst/t.tgz", "-C", mount / "dst")
    mount.wait()
    for name in ("a", "d/b", "d/e/c"):
        assert dst.sha256(f"t/{name}") == src.sha256(f"t/{name}")
    assert os.readlink(mount / "dst/t/link") == "a"
    with tarfile.open(mount / "dst/t.tgz") as archive:
        assert len(archive.getnames()) == 7


@only_fast
def test_rm_r_of_a_wide_tree(src, mount):
    rng = random.Random(1)
    for i in range(150):
        src.put(f"t/{rng.randrange(5)}/{rng.randrange(5)}/{i}", b"x")
    run("rm", "-r", mount / "src/t")
    mount.wait()
    assert src.keys() == []
    assert os.listdir(mount / "src") == []
