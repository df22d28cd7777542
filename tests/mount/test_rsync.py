# SPDX-License-Identifier: GPL-3.0-or-later
"""rsync, which writes under a temporary name, renames, and sets times, mode and owner after the last close."""

import os
import random

import pytest
from rig import MIB, Pattern, run

only_fast = pytest.mark.servers("versitygw")

TREE = {
    "a": 10, "empty": 0, "with space": 1000, "d/new\nline": 7, "d/\u00e9t\u00e9": 5000, "d/-n": 3, "d/" + "x" * 240: 20,
    "d/.hidden": 4, "d/e/medium": 3 * MIB,
}  # fmt: skip


@pytest.fixture
def tree(tmp_path):
    top = tmp_path / "tree"
    for name, size in TREE.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(name).randbytes(size))
        os.utime(path, ns=(10**18, 10**18 + len(name)))
    (top / "hollow").mkdir()
    (top / "link").symlink_to("d/e/medium")
    os.chmod(top / "a", 0o600)
    return top


def transferred(stats):
    line = next(x for x in stats.splitlines() if x.startswith("Number of regular files transferred"))
    return int(line.split(":")[1].replace(",", ""))


def same(one, two):
    return run("rsync", "-anic", "--delete", f"{one}/", f"{two}/").stdout == ""


def test_twice_and_after_a_new_mount(tree, dst, make_mount):
    mount = make_mount({"dst": dst})
    first = run("rsync", "-a", "--stats", f"{tree}/", f"{mount / 'dst/t'}/").stdout
    assert transferred(first) == len(TREE)
    second = run("rsync", "-ai", "--stats", f"{tree}/", f"{mount / 'dst/t'}/").stdout
    assert transferred(second) == 0
    mount.unmount()
    assert sorted(dst.files()) == sorted([f"t/{n}" for n in TREE] + ["t/link"])
    for name, size in TREE.items():
        assert dst.get(f"t/{name}") == random.Random(name).randbytes(size)

    again = make_mount({"dst": dst})
    third = run("rsync", "-ai", "--stats", f"{tree}/", f"{again / 'dst/t'}/").stdout
    assert transferred(third) == 0, third
    assert not [line for line in third.splitlines() if line[:2] in (">f", ".f", ".d", "cd", "cL")], third
    assert same(tree, again / "dst/t")


@only_fast
def test_one_object_and_one_commit(tree, dst, mount):
    """Nothing is stored under the temporary name, so nothing has to be copied or deleted after."""
    before = mount.status()
    run("rsync", "-a", f"{tree / 'd'}/", f"{mount / 'dst/t'}/")
    mount.wait()
    assert not [k for k in dst.keys() if "/." in k and not k.endswith("/.hidden")]
    text = str(mount.status())
    assert text != str(before)


@only_fast
def test_delete(tree, dst, mount):
    run("rsync", "-a", f"{tree}/", f"{mount / 'dst/t'}/")
    (tree / "a").unlink()
    run("rm", "-r", tree / "d/e")
    run("rsync", "-a", "--delete", f"{tree}/", f"{mount / 'dst/t'}/")
    mount.wait()
    assert same(tree, mount / "dst/t")
    assert not dst.exists("t/a") and dst.keys("t/d/e/") == []


@pytest.mark.parametrize("options", ((), ("--inplace",), ("--inplace", "--no-whole-file"), ("--no-whole-file",)))
@only_fast
def test_a_changed_file(tree, dst, mount, options):
    run("rsync", "-a", f"{tree}/", f"{mount / 'dst/t'}/")
    with open(tree / "d/e/medium", "r+b") as f:
        f.seek(MIB)
        f.write(b"changed")
        f.truncate(3 * MIB - 5)
    (tree / "a").write_bytes(b"longer than it was")
    run("rsync", "-a", *options, f"{tree}/", f"{mount / 'dst/t'}/")
    mount.wait()
    assert dst.get("t/d/e/medium") == (tree / "d/e/medium").read_bytes()
    assert dst.get("t/a") == b"longer than it was"
    assert same(tree, mount / "dst/t")


@only_fast
def test_append(dst, mount, tmp_path):
    one = tmp_path / "log"
    one.write_bytes(b"x" * 100_000)
    run("rsync", "-a", one, f"{mount / 'dst'}/")
    with open(one, "ab") as f:
        f.write(b"y" * 1000)
    run("rsync", "-a", "--append", one, f"{mount / 'dst'}/")
    mount.wait()
    assert dst.get("log") == b"x" * 100_000 + b"y" * 1000


def test_a_large_file(dst, mount, tmp_path):
    size = 60 * MIB + 3
    source = tmp_path / "large"
    with open(source, "wb") as f:
        pattern = Pattern("rsync", size)
        while chunk := pattern.read(MIB):
            f.write(chunk)
    os.utime(source, (10**9, 10**9))
    run("rsync", "-a", source, f"{mount / 'dst'}/")
    mount.wait()
    assert dst.keys() == ["large"]
    assert dst.sha256("large") == Pattern("rsync", size).sha256()
    assert dst.meta("large")["mtime"] == "1000000000"
    assert dst.uploads() == []
    assert transferred(run("rsync", "-a", "--stats", source, f"{mount / 'dst'}/").stdout) == 0


@only_fast
def test_between_two_buckets(tree, src, dst, mount):
    run("rsync", "-a", f"{tree}/", f"{mount / 'src/t'}/")
    run("rsync", "-a", f"{mount / 'src/t'}/", f"{mount / 'dst/t'}/")
    mount.wait()
    assert src.contents() == dst.contents()
    assert same(mount / "src/t", mount / "dst/t")


@only_fast
def test_remove_source_files(tree, src, dst, mount):
    run("rsync", "-a", f"{tree}/", f"{mount / 'src/t'}/")
    run("rsync", "-a", "--remove-source-files", f"{mount / 'src/t'}/", f"{mount / 'dst/t'}/")
    mount.wait()
    assert src.files() == []
    assert same(tree, mount / "dst/t")


@only_fast
def test_partial_dir_and_delay_updates(tree, dst, mount):
    run("rsync", "-a", "--delay-updates", "--partial-dir=.part", f"{tree}/", f"{mount / 'dst/t'}/")
    mount.wait()
    assert same(tree, mount / "dst/t")
    assert not [k for k in dst.keys() if ".part" in k]
