# SPDX-License-Identifier: GPL-3.0-or-later
"""What everybody does first: cp, rsync, mv, tar and cat between two servers, checked through boto3."""

import hashlib
import io
import os
import random
import tarfile

import pytest
from rig import run

# Names that careless code trips over; all of them legal on every server.
TREE = {
    "readme.txt": 17,
    "empty": 0,
    "one byte": 1,
    "-n": 5,
    "--help": 6,
    "sub/dir/deep.bin": 70_000,
    "sub/name with  spaces.txt": 1_234,
    "sub/été – 写真.jpg": 150_000,
    "sub/a+b&c=d%20e?f#g.txt": 99,
    "sub/quote'\"back\\slash": 12,
    "sub/[glob]*": 3,
    "block": 131_072,
    "block+1": 131_073,
    "medium.bin": 3_000_001,
    "large.bin": 20 * 1024 * 1024 + 7,
}


def content(name, size):
    return random.Random(f"{name}:{size}").randbytes(size)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def expected(prefix=""):
    return {prefix + name: digest(content(name, size)) for name, size in TREE.items()}


@pytest.fixture
def tree(src):
    for name, size in TREE.items():
        src.put(f"t/{name}", content(name, size))
    return src


def test_ls_shows_names_and_sizes(tree, mount):
    seen = {}
    for folder, _, files in os.walk(mount / "src/t"):
        for name in files:
            path = os.path.join(folder, name)
            seen[os.path.relpath(path, mount / "src/t")] = os.stat(path).st_size
    assert seen == TREE


def test_cat_reads_every_byte(tree, mount):
    for name, size in TREE.items():
        assert (mount / "src/t" / name).read_bytes() == content(name, size), name


def test_reading_in_the_middle_gives_the_same_bytes(tree, mount):
    name = "large.bin"
    data = content(name, TREE[name])
    rng = random.Random(1)
    with open(mount / "src/t" / name, "rb") as f:
        for _ in range(40):
            offset = rng.randrange(len(data))
            length = rng.choice((1, 4096, 100_000, 1_500_000))
            f.seek(offset)
            assert f.read(length) == data[offset : offset + length], (offset, length)


def test_cp_r_between_servers(tree, dst, mount):
    run("cp", "-r", mount / "src/t", mount / "dst/copy")
    mount.wait()
    assert dst.contents("copy/") == expected("copy/")
    assert tree.contents("t/") == expected("t/")


def test_cp_a_within_one_server(tree, mount):
    run("cp", "-a", mount / "src/t", mount / "src/copy")
    mount.wait()
    assert tree.contents("copy/") == expected("copy/")


def test_a_copy_can_be_read_before_it_is_durable(tree, mount):
    run("cp", mount / "src/t/large.bin", mount / "dst/large.bin")
    assert digest((mount / "dst/large.bin").read_bytes()) == expected()["large.bin"]


def test_cp_over_an_existing_file_replaces_it(src, dst, mount):
    src.put("f", b"new and longer")
    dst.put("f", b"old")
    run("cp", mount / "src/f", mount / "dst/f")
    mount.wait()
    assert dst.get("f") == b"new and longer"
    assert (mount / "dst/f").read_bytes() == b"new and longer"


def test_rsync_a_and_a_second_run_that_sends_nothing(tree, dst, mount):
    source, target = f"{mount / 'src/t'}/", f"{mount / 'dst/sync'}/"
    run("rsync", "-a", source, target)
    mount.wait()
    assert dst.contents("sync/") == expected("sync/")
    assert not [k for k in dst.keys() if "/." in k], "a temporary name stayed behind"

    second = run("rsync", "-a", "--stats", "--itemize-changes", source, target).stdout
    assert "Number of regular files transferred: 0" in second, second


def test_mv_of_a_tree_between_servers(tree, dst, mount):
    run("mv", mount / "src/t", mount / "dst/moved")
    mount.wait()
    assert dst.contents("moved/") == expected("moved/")
    assert tree.files("t/") == []
    assert not (mount / "src/t").exists()


def test_mv_within_one_server(tree, mount):
    run("mv", mount / "src/t/medium.bin", mount / "src/t/sub/renamed.bin")
    mount.wait()
    assert tree.sha256("t/sub/renamed.bin") == expected()["medium.bin"]
    assert not tree.exists("t/medium.bin")


def test_tar_out_of_one_server_into_another(tree, dst, mount):
    run("tar", "-cf", mount / "dst/t.tar", "-C", mount / "src", "t")
    mount.wait()
    with tarfile.open(fileobj=io.BytesIO(dst.get("t.tar"))) as archive:
        seen = {m.name: digest(archive.extractfile(m).read()) for m in archive if m.isreg()}
    assert seen == expected("t/")

    (mount / "dst/unpacked").mkdir()
    run("tar", "-xf", mount / "dst/t.tar", "-C", mount / "dst/unpacked")
    mount.wait()
    assert dst.contents("unpacked/") == expected("unpacked/t/")


def test_cat_into_a_file_and_append(src, dst, mount):
    src.put("a", b"first\n")
    run("sh", "-c", 'cat "$1" > "$2" && echo second >> "$2"', "sh", mount / "src/a", mount / "dst/b")
    mount.wait()
    assert dst.get("b") == b"first\nsecond\n"


def test_what_boto3_wrote_is_what_a_program_edits(src, mount):
    data = bytearray(content("edit", 300_000))
    src.put("edit", bytes(data))
    with open(mount / "src/edit", "r+b") as f:
        f.seek(123_456)
        f.write(b"changed")
    data[123_456:123_463] = b"changed"
    mount.wait()
    assert src.get("edit") == bytes(data)


def test_rm_r_and_rmdir(tree, mount):
    run("rm", "-r", mount / "src/t")
    mount.wait()
    assert tree.keys("t/") == []


def test_no_multipart_upload_stays_behind(tree, dst, mount):
    run("cp", mount / "src/t/large.bin", mount / "dst/large.bin")
    mount.wait()
    assert dst.uploads() == []


def test_unmount_waits_for_what_is_pending(tree, dst, make_mount):
    mount = make_mount({"src": tree, "dst": dst}, {"writeback": "all"})
    run("cp", "-r", mount / "src/t", mount / "dst/copy")
    assert mount.unmount() == 0
    assert dst.contents("copy/") == expected("copy/")


def test_mounting_in_the_background_as_users_do(tree, dst, make_mount):
    mount = make_mount({"src": tree, "dst": dst}, foreground=False)
    assert mount.pid
    run("cp", mount / "src/t/readme.txt", mount / "dst/")
    mount.unmount()
    assert dst.sha256("readme.txt") == expected()["readme.txt"]
