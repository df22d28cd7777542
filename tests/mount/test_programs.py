# SPDX-License-Identifier: GPL-3.0-or-later
"""An hour of real use in short: git, make, sqlite and archives, working inside the mount."""

import os
import shutil
import sqlite3
import tarfile

import pytest
from rig import run

pytestmark = pytest.mark.servers("versitygw")


def test_git(dst, make_mount):
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    mount = make_mount({"dst": dst}, {"writeback": "all"})
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    one, two = mount / "dst/one", mount / "dst/two"
    run(*git, "init", "-q", one)
    for i in range(20):
        (one / f"f{i}").write_text(f"content {i}\n" * 100)
    run(*git, "-C", one, "add", ".")
    run(*git, "-C", one, "commit", "-qm", "first")
    (one / "f3").write_text("changed\n")
    run(*git, "-C", one, "commit", "-qam", "second")
    run(*git, "clone", "-q", one, two)
    run(*git, "-C", two, "checkout", "-q", "-b", "branch")
    (two / "f4").unlink()
    run(*git, "-C", two, "commit", "-qam", "third")
    run(*git, "-C", two, "push", "-q", "origin", "branch")
    run(*git, "-C", one, "gc", "-q")
    mount.unmount()
    again = make_mount({"dst": dst})
    for name in ("one", "two"):
        run(*git, "-C", again / "dst" / name, "fsck", "--strict")
        assert run(*git, "-C", again / "dst" / name, "status", "--porcelain").stdout == ""
    assert len(run(*git, "-C", again / "dst/one", "log", "--oneline", "branch").stdout.splitlines()) == 3


def test_make(dst, make_mount):
    if not shutil.which("make") or not shutil.which("cc"):
        pytest.skip("make or cc is not installed")
    mount = make_mount({"dst": dst}, {"writeback": "all"})
    top = mount / "dst/project"
    top.mkdir()
    (top / "a.h").write_text("int two(void);\n")
    (top / "a.c").write_text('#include "a.h"\nint two(void) { return 2; }\n')
    (top / "main.c").write_text('#include <stdio.h>\n#include "a.h"\nint main(void) { printf("%d\\n", two()); }\n')
    (top / "Makefile").write_text("prog: main.o liba.a\n\t$(CC) -o $@ $^\nliba.a: a.o\n\t$(AR) rc $@ $^\na.o main.o: a.h\n")
    run("make", "-j4", "-C", top)
    assert run(top / "prog").stdout == "2\n"
    assert "up to date" in run("make", "-C", top).stdout
    (top / "a.c").write_text('#include "a.h"\nint two(void) { return 22; }\n')
    run("make", "-C", top)
    assert run(top / "prog").stdout == "22\n"
    mount.wait()
    assert dst.exists("project/prog") and dst.meta("project/prog")["mode"] == "0100755"


@pytest.mark.parametrize("journal", ("delete", "truncate", "wal"))
def test_sqlite(dst, make_mount, tmp_path, journal):
    mount = make_mount({"dst": dst}, {"writeback": "all"})
    db = sqlite3.connect(mount / "dst/db")
    db.execute(f"pragma journal_mode={journal}")
    db.execute("create table t (k integer primary key, v text)")
    for k in range(30):
        with db:
            db.execute("insert into t values (?, ?)", (k, "x" * 3000))
    db.execute("begin")
    db.execute("delete from t")
    db.rollback()
    with db:
        db.execute("update t set v = 'y' where k % 2 = 0")
    assert db.execute("select count(*) from t where v = 'y'").fetchone() == (15,)
    db.close()
    mount.unmount()
    (tmp_path / "db").write_bytes(dst.get("db"))
    copy = sqlite3.connect(tmp_path / "db")
    assert copy.execute("pragma integrity_check").fetchone() == ("ok",)
    assert copy.execute("select count(*), sum(v = 'y') from t").fetchone() == (30, 15)
    copy.close()
    assert dst.keys() == (["db", "db-journal"] if journal == "truncate" else ["db"])


def test_archives_of_a_tree(dst, mount, tmp_path):
    for i in range(60):
        path = mount / f"dst/tree/{i % 4}/{i % 3}/file {i}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(i * 100))
    run("tar", "-C", mount / "dst", "-cf", tmp_path / "tree.tar", "tree")
    run("tar", "-C", mount / "dst", "-df", tmp_path / "tree.tar")
    with tarfile.open(tmp_path / "tree.tar") as archive:
        assert sum(m.isreg() for m in archive) == 60
    shutil.make_archive(str(mount / "dst/zipped"), "zip", mount / "dst/tree")
    shutil.unpack_archive(str(mount / "dst/zipped.zip"), str(mount / "dst/unzipped"))
    mount.wait()
    run("diff", "-r", mount / "dst/tree", mount / "dst/unzipped")


def test_editors_that_save_by_rename(dst, mount):
    """Write a new file, keep the old one as a backup, rename over: vi, emacs, sed -i, many more."""
    dst.put("f", b"one two\n")
    run("sed", "-i.bak", "s/one/1/", mount / "dst/f")
    run("sed", "-i", "s/two/2/", mount / "dst/f")
    mount.wait()
    assert dst.get("f") == b"1 2\n" and dst.get("f.bak") == b"one two\n"
    assert dst.keys() == ["f", "f.bak"]
