# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: directories, links, long and odd ones, and directories with very many."""

import errno
import os
import stat

import pytest
from rig import run

only_fast = pytest.mark.servers("versitygw")

ODD = [
    b"two words", b" leading", b"trailing ", b"new\nline", b"tab\there", b"-rf", b"--", b"*?[a]", b"a'b\"c", b"back\\slash",
    b"dollar$(x)`y`", b"percent%41%2F", b"plus+&=;,@:!", "\u00e9t\u00e9 \u2013 \u5199\u771f".encode(), "\U0001f600".encode(),
    b"#hash", b"~tilde", b".hidden", b"...", b"x" * 255, ("\u00e9" * 127).encode(),
]  # fmt: skip


def refuses(number, what):
    with pytest.raises(OSError) as e:
        what()
    assert e.value.errno == number, os.strerror(e.value.errno)


def test_mkdir_and_rmdir(dst, mount):
    run("mkdir", "-p", mount / "dst/a/b/c")
    assert (mount / "dst/a/b/c").is_dir()
    refuses(errno.EEXIST, lambda: os.mkdir(mount / "dst/a"))
    refuses(errno.ENOTEMPTY, lambda: os.rmdir(mount / "dst/a"))
    (mount / "dst/a/b/c/f").write_bytes(b"x")
    refuses(errno.ENOTEMPTY, lambda: os.rmdir(mount / "dst/a/b/c"))
    refuses(errno.ENOTDIR, lambda: os.rmdir(mount / "dst/a/b/c/f"))
    refuses(errno.EISDIR, lambda: os.unlink(mount / "dst/a/b/c"))
    os.unlink(mount / "dst/a/b/c/f")
    os.rmdir(mount / "dst/a/b/c")
    assert os.listdir(mount / "dst/a/b") == []
    mount.wait()
    assert dst.keys("a/b/") == ["a/b/"]
    run("rm", "-r", mount / "dst/a")
    mount.wait()
    assert dst.keys() == []


@only_fast
def test_a_directory_stays_when_its_last_file_goes(dst, mount):
    (mount / "dst/d").mkdir()
    (mount / "dst/d/f").write_bytes(b"x")
    os.unlink(mount / "dst/d/f")
    assert os.listdir(mount / "dst") == ["d"]


@only_fast
def test_a_directory_without_marker_goes_with_its_last_file(dst, make_mount):
    dst.put("d/f", b"x")
    mount = make_mount({"dst": dst}, {"metadata_ttl": "1"})
    run("rm", "-r", mount / "dst/d")
    assert not (mount / "dst/d").exists()
    mount.wait()
    assert dst.keys() == []


@only_fast
def test_rmdir_sees_what_others_have_put(dst, mount):
    (mount / "dst/d").mkdir()
    mount.wait()
    assert os.listdir(mount / "dst/d") == []
    os.mkdir(mount / "dst/e")
    os.rmdir(mount / "dst/e")
    assert os.listdir(mount / "dst") == ["d"]


def test_symlinks(dst, make_mount):
    mount = make_mount({"dst": dst})
    dst.put("f", b"target")
    os.symlink("f", mount / "dst/link")
    os.symlink("/nowhere/at all", mount / "dst/dangling")
    assert (mount / "dst/link").read_bytes() == b"target"
    run("cp", "-a", mount / "dst/link", mount / "dst/link2")
    run("mkdir", mount / "dst/r")
    run("rsync", "-a", mount / "dst/link", mount / "dst/dangling", f"{mount / 'dst/r'}/")
    refuses(errno.EEXIST, lambda: os.symlink("x", mount / "dst/link"))
    mount.unmount()

    again = make_mount({"dst": dst})
    for name, target in {
        "link": "f", "dangling": "/nowhere/at all", "link2": "f", "r/link": "f", "r/dangling": "/nowhere/at all",
    }.items():  # fmt: skip
        assert os.readlink(again / "dst" / name) == target
        assert os.lstat(again / "dst" / name).st_size == len(target)
    os.unlink(again / "dst/link")
    again.wait()
    assert dst.get("f") == b"target" and not dst.exists("link")


def test_odd_names_are_written_read_renamed_and_removed(dst, make_mount):
    mount = make_mount({"dst": dst})
    top = os.fsencode(mount / "dst")
    names = ODD if dst.server.kind == "versitygw" else [n for n in ODD if b"\\" not in n]
    for name in names:
        with open(os.path.join(top, name), "wb") as f:
            f.write(name)
    os.mkdir(os.path.join(top, b"od d\n"))
    os.rename(os.path.join(top, b"-rf"), os.path.join(top, b"od d\n", b"-fr"))
    mount.unmount()

    assert sorted(k.encode() for k in dst.files()) == sorted([n for n in names if n != b"-rf"] + [b"od d\n/-fr"])
    again = make_mount({"dst": dst})
    assert sorted(os.listdir(top.replace(os.fsencode(mount.mountpoint), os.fsencode(again.mountpoint)))) == sorted(
        [n for n in names if n != b"-rf"] + [b"od d\n"]
    )
    top = os.fsencode(again / "dst")
    for name in names:
        if name != b"-rf":
            with open(os.path.join(top, name), "rb") as f:
                assert f.read() == name
            os.unlink(os.path.join(top, name))
    again.wait()
    assert dst.files() == ["od d\n/-fr"]


@only_fast
def test_bytes_that_are_not_utf8(dst, mount):
    """Keys are UTF-8: what cannot be one is refused with a clear error, or comes back as it was."""
    path = os.path.join(os.fsencode(mount / "dst"), b"bad\xff\xfename")
    try:
        with open(path, "wb") as f:
            f.write(b"x")
    except OSError as e:
        assert e.errno in (errno.EINVAL, errno.EILSEQ, errno.EIO)
        assert os.listdir(mount / "dst") == []
        return
    mount.wait()
    assert os.listdir(os.fsencode(mount / "dst")) == [b"bad\xff\xfename"]
    with open(path, "rb") as f:
        assert f.read() == b"x"


@only_fast
def test_names_too_long(mount):
    refuses(errno.ENAMETOOLONG, lambda: open(mount / "dst" / ("x" * 256), "wb"))
    refuses(errno.ENAMETOOLONG, lambda: os.stat(mount / "dst" / ("x" * 256)))
    refuses(errno.ENAMETOOLONG, lambda: os.mkdir(mount / "dst" / ("x" * 256)))
    deep = mount / "dst"
    for _ in range(4):
        deep = deep / ("y" * 200)
        deep.mkdir()
    (deep / ("z" * 219)).write_bytes(b"a key of 1023 bytes")
    refuses(errno.ENAMETOOLONG, lambda: open(deep / ("z" * 230), "wb"))
    refuses(errno.ENAMETOOLONG, lambda: os.mkdir(deep / ("z" * 230)))
    refuses(errno.ENAMETOOLONG, lambda: os.rename(deep / ("z" * 219), deep / ("z" * 230)))
    assert os.listdir(deep) == ["z" * 219]


def test_a_directory_with_thousands(src, make_mount):
    count = 3000
    if src.server.kind == "versitygw":
        folder = src.server.data / src.name / "many"
        folder.mkdir()
        for i in range(count):
            (folder / f"{i:05}").write_bytes(b"%d" % i)
    else:
        count = 1200
        for i in range(count):
            src.put(f"many/{i:05}", b"%d" % i)
    mount = make_mount({"src": src})
    many = mount / "src/many"
    # First single names, before the directory was ever listed.
    assert (many / "00777").read_bytes() == b"777"
    assert not (many / "nothing").exists()
    (many / "00000a").write_bytes(b"new")
    assert (many / "00000a").read_bytes() == b"new"
    names = os.listdir(many)
    assert sorted(names) == sorted([f"{i:05}" for i in range(count)] + ["00000a"])
    assert not (many / "nothing").exists()
    assert sum(e.stat().st_size for e in os.scandir(many)) == sum(len(str(i)) for i in range(count)) + 3
    refuses(errno.ENOTEMPTY, lambda: os.rmdir(many))
    run("rm", "-r", many)
    mount.wait()
    assert src.keys() == []


def test_reading_a_directory_while_it_changes(dst, mount):
    for i in range(300):
        (mount / f"dst/{i}").touch()
    seen = set()
    with os.scandir(mount / "dst") as entries:
        for entry in entries:
            seen.add(entry.name)
            os.unlink(entry.path)
    assert seen == {str(i) for i in range(300)}
    assert os.listdir(mount / "dst") == []


@only_fast
def test_keys_a_path_could_not_have(odd, make_mount):
    """Every legal key shows under some name, and can be read and removed under it."""
    keys = ["a", "a/b", "c//d", "e/./f", "e/../g", "/lead", "e/.f/g", "n" * 255, "h\x01i", ".s3%x"]
    for key in keys:
        odd.put(key, key.encode())
    mount = make_mount({"odd": odd})
    found = {}
    for folder, _, files in os.walk(mount / "odd"):
        for name in files:
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                found[f.read().decode()] = path
    assert set(found) == set(keys)
    for path in found.values():
        os.unlink(path)
    mount.wait()
    assert odd.keys() == []


@only_fast
def test_kinds_of_file_that_s3_cannot_hold(mount):
    (mount / "dst/f").write_bytes(b"x")
    with pytest.raises(OSError):
        os.link(mount / "dst/f", mount / "dst/hard")
    with pytest.raises(OSError):
        os.mkfifo(mount / "dst/fifo")
    assert os.listdir(mount / "dst") == ["f"]
    assert stat.S_ISREG(os.stat(mount / "dst/f").st_mode)
