# SPDX-License-Identifier: GPL-3.0-or-later
"""MOUNTPOINT/.s3bridge: four files that say what goes on, and that nobody meets who does not ask for them by name."""

import errno
import json
import os
import re
import shutil
import subprocess
import time

import pytest
from fakes import Proxy
from rig import MIB, Pattern, run, wait_until

FILES = ("advice", "jobs", "metrics", "status.json")

pytestmark = pytest.mark.servers("versitygw")


class Slow:
    """A rule for Proxy: parts of an upload wait, but for the first SOME, until go()."""

    def __init__(self, some):
        self.left = some
        self.waiting = True

    def __call__(self, request):
        if request.command == "PUT" and self.waiting:
            self.left -= 1
            deadline = time.monotonic() + 30  # so that a test that fails does not hang
            while self.left < 0 and self.waiting and time.monotonic() < deadline:
                time.sleep(0.01)

    def go(self):
        self.waiting = False


@pytest.fixture
def slow(dst):
    rule = Slow(3)
    with Proxy(dst.server, rule) as proxy:
        rule.bucket = dst.via(proxy.endpoint)
        yield rule
        rule.go()


# ------------------------------------------------------------------------------------------------------- a parser

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)')


def parse_metrics(text):
    """{(name, labels as text): value}; raises where Prometheus would not read it, or promtool would complain."""
    samples, types, current = {}, {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        words = line.split(" ", 3)
        if line.startswith("# HELP "):
            assert words[3] and words[2] not in types, f"{words[2]} begins twice"
            current = words[2]
            continue
        if line.startswith("# TYPE "):
            assert words[2] == current and words[3] in ("counter", "gauge", "summary")
            types[current] = words[3]
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        family = re.sub(r"_(count|sum)$", "", name) if types[current] == "summary" else name
        assert family == current, f"{name} stands below {current}"
        assert name.endswith("_total") == (types[current] == "counter")
        assert (name, labels) not in samples, f"{line} is there twice"
        samples[name, labels] = float(value)
    return samples


def metrics_of(mount):
    return parse_metrics((mount / ".s3bridge/metrics").read_text())


# -------------------------------------------------------------------------------------------------------- hidden


def test_who_looks_at_everything_does_not_meet_it(src, dst, make_mount, tmp_path):
    src.put("d/f", b"x")
    mount = make_mount({"src": src, "dst": dst})
    top = mount.mountpoint
    os.stat(top / ".s3bridge/metrics")  # known to the kernel, it is not listed all the same
    assert sorted(run("ls", "-a", top).stdout.split()) == [".", "..", "dst", "src"]
    assert ".s3bridge" not in run("find", top).stdout
    for copy in (["cp", "-r", top, tmp_path / "cp"], ["rsync", "-a", f"{top}/", tmp_path / "rsync"]):
        if shutil.which(copy[0]):
            run(*copy)
            assert sorted(os.listdir(copy[-1])) == ["dst", "src"]
    assert ".s3bridge" not in run("tar", "-C", top, "-cvf", "/dev/null", ".").stdout
    assert ".s3bridge" not in run("du", "-a", top).stdout


def test_a_bucket_cannot_take_the_name(src, make_mount, tmp_path):
    binary = make_mount({"src": src}).binary
    config = tmp_path / "c.ini"
    config.write_text("[.s3bridge]\nbucket = b\n")
    for argv in (["-c", config], [".s3bridge=s3://b"]):
        done = run(binary, "mount", *argv, tmp_path / "m0", check=False)
        assert done.returncode != 0
        assert "the name \".s3bridge\" is taken by the mount's own status files: choose another\n" in done.stderr


# -------------------------------------------------------------------------------------------------------- readable


def test_it_can_be_listed_and_read_by_name(src, make_mount):
    control = make_mount({"src": src}) / ".s3bridge"
    assert sorted(os.listdir(control)) == ["advice", "control", "jobs", "metrics", "report.json", "status.json"]
    for name in FILES:
        assert not os.stat(control / name).st_mode & 0o222
    assert (control / "jobs").read_bytes() == b""
    assert (control / "advice").read_text().endswith(".\n")
    assert json.loads((control / "status.json").read_text())["buckets"][0]["name"] == "src"
    assert ("s3bridge_uptime_seconds", None) in metrics_of(control.parent)


@pytest.mark.parametrize("name", ("metrics", "advice", "status.json"))
def test_every_way_of_reading_gives_the_whole(src, make_mount, tmp_path, name):
    mount = make_mount({"src": src})
    (mount / "src/f").write_bytes(b"x")
    wait_until(lambda: len(mount.status()["engine"]["network"]) == 2, 5, "both directions of the network")
    path = mount / ".s3bridge" / name

    # What is open stays what it was, at every offset, and has a size.
    with open(path, "rb") as f:
        whole = f.read()
        assert os.pread(f.fileno(), 7, 20) == whole[20:27]
        assert os.fstat(f.fileno()).st_size == len(whole) == os.lseek(f.fileno(), 0, os.SEEK_END)
        assert os.pread(f.fileno(), 100, len(whole)) == b""
    # Each program opens it anew, so a figure may have changed by then; lines do not come and go.
    lines = whole.count(b"\n")
    assert run("cat", path).stdout.count("\n") == lines
    assert int(run("wc", "-l", path).stdout.split()[0]) == lines
    assert int(run("grep", "-c", "", path).stdout) == lines
    assert run("tail", "-c", "+1", path).stdout.count("\n") == lines
    assert run("tail", "-c", "1", path).stdout == "\n"
    run("cp", path, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes().count(b"\n") == lines
    run("sh", "-c", 'cat "$1" > "$2"', "sh", path, mount / "src/copy")
    assert src.get("copy").count(b"\n") == lines
    if shutil.which("less"):
        # On a terminal it looks at the size first.
        shown = run("script", "-qec", f"TERM=xterm less -X '{path}'", "/dev/null", check=False, stdin="q", timeout=20)
        assert whole.split(b"\n", 1)[0].decode()[:60] in shown.stdout


def test_status_json_is_what_the_command_prints(src, make_mount):
    mount = make_mount({"src": src})
    file, command = json.loads((mount / ".s3bridge/status.json").read_text()), mount.status()
    assert file.keys() == command.keys() and file["pid"] == command["pid"]


# ------------------------------------------------------------------------------------------------------- read-only


def refused(call, *args):
    with pytest.raises(OSError) as e:
        call(*args)
    assert e.value.errno in (errno.EACCES, errno.EPERM, errno.EROFS), e.value


def test_nothing_can_be_changed(src, make_mount):
    src.put("f", b"x")
    mount = make_mount({"src": src})
    control = mount / ".s3bridge"
    for name in FILES:
        path = control / name
        before = path.stat().st_mode
        refused(os.open, path, os.O_WRONLY)
        refused(os.open, path, os.O_RDWR)
        refused(os.open, path, os.O_RDONLY | os.O_TRUNC)
        refused(os.truncate, path, 0)
        refused(os.chmod, path, 0o666)
        refused(os.utime, path)
        refused(os.unlink, path)
        refused(os.rename, path, control / "other")
        refused(os.rename, path, mount / "src/other")
        refused(os.rename, mount / "src/f", path)
        refused(os.link, path, mount / "src/other")
        assert path.stat().st_mode == before
    refused(os.open, control / "new", os.O_WRONLY | os.O_CREAT)
    refused(os.mkdir, control / "new")
    refused(os.symlink, "x", control / "new")
    refused(os.chmod, control, 0o777)
    refused(os.rmdir, control)
    refused(os.rename, control, mount / "other")
    refused(os.rename, mount / "src", control)
    with pytest.raises(FileExistsError):
        os.mkdir(control)
    assert src.keys() == ["f"]
    assert sorted(os.listdir(control)) == ["advice", "control", "jobs", "metrics", "report.json", "status.json"]


# ------------------------------------------------------------------------------------------------------ what they say


def test_metrics_follow_what_is_done(src, dst, make_mount):
    mount = make_mount({"src": src, "dst": dst})
    src.put("f", b"x" * 70000)
    before = metrics_of(mount)
    run("cp", mount / "src/f", mount / "dst/f")
    mount.wait()
    after = metrics_of(mount)
    assert before.keys() <= after.keys()

    def grown(name, labels=None):
        return after[f"s3bridge_{name}", labels] - before.get((f"s3bridge_{name}", labels), 0)

    assert grown("jobs_done_total") == 1 and grown("jobs_failed_total") == 0
    assert grown("copied_bytes_total") == 70000
    assert grown("requests_total", 'operation="PutObject"') == 1
    assert grown("change_duration_seconds_count", 'class="high"') == 1
    assert grown("network_bytes_total", f'endpoint="{dst.endpoint}",direction="write"') >= 70000
    assert after["s3bridge_pending_changes", None] == 0
    assert 30 * MIB < after["s3bridge_memory_limit_bytes", None] < 1 << 40
    classes = {labels for name, labels in after if name == "s3bridge_queue_length"}
    assert classes == {f'class="{c}"' for c in ("interactive", "high", "medium", "low")}
    quality = [v for (name, labels), v in after.items() if name == "s3bridge_network_quality" and dst.endpoint in labels]
    assert sorted(set(quality)) == [0, 1]


JOB = re.compile(r"(\d+) (copy|upload|delete) (high|medium|low) ([a-z-]+) (\d+)/(\d+) ([\d.]+)% ([\d.]+)s (\d+) (.*)")


def test_jobs_show_a_copy_that_runs(src, slow, make_mount):
    size = 128 * MIB
    src.upload("large file", Pattern("l", size))
    mount = make_mount({"src": src, "dst": slow.bucket}, {"writeback": "all"})
    run("cp", mount / "src/large file", mount / "dst/large file")
    jobs = mount / ".s3bridge/jobs"

    def some_parts_done():
        found = [JOB.fullmatch(line).groups() for line in jobs.read_text().splitlines()]
        return [job for job in found if int(job[4]) > 0]

    ((_, kind, size_class, state, done, total, percent, age, retries, path),) = wait_until(
        some_parts_done, 20, "the first parts"
    )
    assert (kind, size_class, state, path) == ("copy", "low", "sending-parts", "dst/large file")
    assert 0 < int(done) < int(total) == size
    assert abs(float(percent) - 100 * int(done) / size) < 0.1
    status = json.loads((mount / ".s3bridge/status.json").read_text())
    assert status["jobs"]["running"] == 1 and status["jobs"]["size_bytes"] == size
    assert status["jobs"]["largest"][0]["key"] == "large file"
    slow.go()
    mount.wait()
    assert jobs.read_bytes() == b""


def test_a_line_stays_a_line_whatever_the_key(src, slow, make_mount):
    slow.left = 0
    names = ["a\nb", "\x1b[2Jc", "d\\e", "f g", "Zoë"]
    mount = make_mount({"dst": slow.bucket}, {"writeback": "all"})
    for name in names:
        (mount / "dst" / name).write_bytes(b"x")
    jobs = mount / ".s3bridge/jobs"
    subprocess.Popen([mount.binary, "wait", mount / "dst"], env=mount.environment()).poll()  # they start at once
    lines = wait_until(lambda: (t := jobs.read_text()).count("\n") == len(names) and t, 20, "all uploads").splitlines()
    paths = sorted(JOB.fullmatch(line).group(10) for line in lines)
    assert paths == sorted(["dst/a\\x0ab", "dst/\\x1b[2Jc", "dst/d\\\\e", "dst/f g", "dst/Zoë"])
    slow.go()
    mount.wait()


def test_nothing_waits_for_a_server_that_does_not_answer(own_server, make_mount):
    server = own_server()
    bucket = server.make_bucket()
    mount = make_mount({"b": bucket}, {"writeback": "all"})
    (mount / "b/f").write_bytes(b"x")
    server.pause()
    try:
        began = time.monotonic()
        for name in FILES:
            (mount / ".s3bridge" / name).read_bytes()
        assert time.monotonic() - began < 2
    finally:
        server.resume()
    mount.wait()
