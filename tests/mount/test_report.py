# SPDX-License-Identifier: GPL-3.0-or-later
"""s3bridge report: the page of a real run."""

import html.parser
import json
import os
import re
import stat
import time

import pytest
from rig import MIB, clean_environment, run, s3bridge_binary, wait_until

pytestmark = pytest.mark.servers("versitygw")


class Page(html.parser.HTMLParser):
    """Checks that tags are closed in order, and collects what matters."""

    VOID = ("meta", "br")

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.tags = []
        self.attributes = []
        self.text = ""
        self.headings = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style",):
            self.text += data
        if self.open and self.open[-1] in ("figcaption", "h2"):
            self.headings.append(data.strip())


def report_of(mount, *argv, **kw):
    return mount.command_line("report", *argv, mount.mountpoint, **kw)


def copy_something(src, dst, mount):
    for i in range(40):
        src.put(f"small/{i}", b"x" * 20000)
    src.put("large", os.urandom(12 * MIB))
    run("cp", "-r", mount / "src/small", mount / "src/large", mount / "dst/")
    mount.wait()


def test_report_of_a_run_shows_it_and_needs_nothing_else(src, dst, mount):
    copy_something(src, dst, mount)
    # The history is read once a second.
    wait_until(lambda: history_of(mount)["samples"]["start_ms"], 5, "a sample")
    text = report_of(mount, "-o", "-").stdout
    page = Page(text)
    for title in (
        "Throughput through this host",
        "Memory for file data",
        "Time from submission to stored, by size",
        "Round trip",
        "Transfers at once, and the limit that was found",
        "Size classes",
        "Endpoints",
        "Settings in force",
    ):
        assert title in page.headings
    assert page.tags.count("svg") >= 6
    assert len(text) < 300_000
    # Nothing is loaded, and no script runs.
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & set(page.tags)
    assert not [(k, v) for k, v in page.attributes if k in ("src", "href", "xlink:href", "style") or k.startswith("on")]
    assert "url(" not in text and "@import" not in text
    for server in (src.server, dst.server):
        assert server.secret_key not in text and server.access_key not in text
        assert server.endpoint in page.text
    assert "Nothing was moved yet" not in page.text
    assert re.search(r"42\s*files and other changes stored", page.text)


def history_of(mount):
    return json.loads((mount / ".s3bridge/report.json").read_text())


def test_history_adds_up_to_what_was_moved(src, dst, mount):
    copy_something(src, dst, mount)
    moved = mount.status()["traffic"]["copied_bytes"]
    assert moved == 40 * 20000 + 12 * MIB
    wait_until(lambda: sum(history_of(mount)["samples"]["copied_bytes"]) == moved, 5, "all bytes in the history")
    history = history_of(mount)
    samples = history["samples"]
    assert sum(samples["done"]) == 42  # with the directory
    assert all(len(column) == len(samples["start_ms"]) for column in samples.values())
    assert all(end > start for start, end in zip(samples["start_ms"], samples["end_ms"]))
    assert {(p["endpoint"], p["direction"]) for p in history["paths"]} >= {
        (src.server.endpoint, "read"),
        (dst.server.endpoint, "write"),
    }
    assert sum(history["classes"]["high"]["changes"]) == 41
    assert sum(history["classes"]["medium"]["changes"]) == 1


def test_idle_mount_says_so_and_records_nothing(mount):
    page = Page(report_of(mount, "-o", "-").stdout)
    assert "Nothing was moved yet." in page.text
    assert "svg" not in page.tags
    assert "Settings in force" in page.headings
    # A listing is work, if little; what follows is none.
    os.listdir(mount / "src")
    time.sleep(2.5)
    samples = history_of(mount)["samples"]["end_ms"]
    assert len(samples) <= 2
    time.sleep(2)
    assert history_of(mount)["samples"]["end_ms"] == samples


def test_readonly_mount_has_a_report_too(make_mount, src):
    src.put("a", b"hello")
    mount = make_mount({"src": src}, {"readonly": "yes"})
    assert (mount / "src/a").read_bytes() == b"hello"
    assert "downloaded" in Page(report_of(mount, "-o", "-").stdout).text


def test_file_is_replaced_as_a_whole(mount, tmp_path):
    where = tmp_path / "out"
    where.mkdir()
    run(s3bridge_binary(), "report", mount.mountpoint, cwd=where, env=clean_environment())
    assert os.listdir(where) == ["s3bridge-report.html"]
    file = where / "s3bridge-report.html"
    Page(file.read_text())
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask
    file.write_text("old")
    keep = os.open(file, os.O_RDONLY)
    report_of(mount, "-o", file)
    assert os.read(keep, 10) == b"old"  # who reads the old page reads it to its end
    os.close(keep)
    assert file.read_text().startswith("<!DOCTYPE html>")
    assert os.listdir(where) == ["s3bridge-report.html"]


def test_bad_input_is_one_clear_sentence(mount, tmp_path):
    for argv, code, words in (
        ((tmp_path,), 1, f"{tmp_path} is not inside an s3bridge mount"),
        ((tmp_path / "none",), 1, f"{tmp_path / 'none'} is not inside an s3bridge mount"),
        (("-o", tmp_path / "no/such/file", mount.mountpoint), 1, f"{tmp_path / 'no/such/file'}: No such file"),
        (("-o", tmp_path, mount.mountpoint), 1, f"{tmp_path}: Is a directory"),
        (("-o", "/dev/full", mount.mountpoint), 1, "/dev/full: No space left"),
        ((), 2, "expected one mount point"),
        (("-o", "", mount.mountpoint), 2, "the name of the file is empty"),
        (("--colour", mount.mountpoint), 2, "unknown option --colour"),
    ):
        done = mount.command_line("report", *argv, check=False)
        assert done.returncode == code, argv
        assert words in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == (1 if code == 1 else 2)
        assert done.stdout == ""
    assert not [name for name in os.listdir(tmp_path) if "XXXX" in name or name.startswith("no")]
