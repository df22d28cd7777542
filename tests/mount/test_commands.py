# SPDX-License-Identifier: GPL-3.0-or-later
"""mount, wait, status, unmount: what they do, what they say, and how they end."""

import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest
from fakes import Proxy, s3_error
from rig import MIB, clean_environment, is_mounted, run, s3bridge_binary, wait_until

OK, FAILED, USAGE, TIMED_OUT = 0, 1, 2, 3

pytestmark = pytest.mark.servers("versitygw")


class Slow:
    """A rule for Proxy: requests that store something wait until go()."""

    def __init__(self):
        self.waiting = True
        self.held = 0

    def __call__(self, request):
        if request.command in ("PUT", "POST") and self.waiting:
            self.held += 1
            # A bound, so that a test that fails does not hang.
            deadline = time.monotonic() + 20
            while self.waiting and time.monotonic() < deadline:
                time.sleep(0.01)

    def go(self):
        self.waiting = False


@pytest.fixture
def slow(src):
    """A bucket behind a proxy that holds every change back until slow.go()."""
    rule = Slow()
    with Proxy(src.server, rule) as proxy:
        rule.bucket = src.via(proxy.endpoint)
        yield rule
        rule.go()


@pytest.fixture
def refusing(src):
    """A bucket whose server refuses to store the keys that hold the word `refused`."""

    def rule(request):
        if request.command in ("PUT", "POST") and "refused" in request.path:
            return 403, {"Content-Type": "application/xml"}, s3_error("AccessDenied", "Access Denied.")
        return None

    with Proxy(src.server, rule) as proxy:
        yield src.via(proxy.endpoint)


def run_s3bridge(*argv, cwd=None, check=True, timeout=60, **env):
    env = {"ASAN_OPTIONS": "exitcode=99", **env}
    return run(s3bridge_binary(), *argv, cwd=cwd, check=check, timeout=timeout, env=clean_environment(**env))


def daemon_of(point):
    return json.loads((point / ".s3bridge/status.json").read_text())["pid"]


class Background:
    """Ends what `s3bridge mount` left in the background at POINT, however the test went."""

    def __init__(self, point):
        self.point = point
        self.pid = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if is_mounted(self.point):
            run_s3bridge("unmount", self.point, check=False)
        if is_mounted(self.point):
            subprocess.run(["umount", "-l", self.point], check=False)


@pytest.fixture
def point(tmp_path):
    path = tmp_path / "mnt"
    path.mkdir()
    with Background(path):
        yield path


def has_ended(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


# -------------------------------------------------------------------------------------------------- help and version


def test_help_names_every_command_and_each_has_its_own():
    text = run_s3bridge("--help").stdout
    assert text == run_s3bridge("-h").stdout == run_s3bridge("help").stdout
    for command in ("mount", "wait", "status", "report", "unmount"):
        assert re.search(rf"^  {command} ", text, re.MULTILINE)
        own = run_s3bridge(command, "--help")
        assert own.stdout.startswith(f"Usage: s3bridge {command} ") and own.stderr == ""
        assert own.stdout == run_s3bridge("help", command).stdout
        assert max(map(len, own.stdout.splitlines())) <= 120


def test_version():
    assert re.fullmatch(r"s3bridge \d+\.\d+\S*\n", run_s3bridge("--version").stdout)


def test_help_describes_every_option_of_the_manual_page():
    manual = (pathlib.Path(__file__).parents[2] / "fs/s3bridge.1").read_text()
    for command in ("mount", "wait", "status", "report", "unmount"):
        for option in re.findall(r"^  (--?[a-z-]+)", run_s3bridge(command, "--help").stdout, re.MULTILINE):
            name = option.lstrip("-")
            assert re.search(rf"\b{re.escape(name)}\b", manual), f"{command} {option} is not in the manual page"


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
def test_the_manual_page_is_clean():
    path = pathlib.Path(__file__).parents[2] / "fs/s3bridge.1"
    # "base" leaves out what only the BSD systems ask of their own pages.
    assert run("mandoc", "-T", "lint", "-W", "warning", path, check=False).stdout == ""


# -------------------------------------------------------------------------------------------------------------- mount


def test_mount_returns_when_the_mount_answers(src, point, tmp_path):
    src.put("d/f", b"content")
    argument = f"photos=s3://{src.name}/d?endpoint={src.endpoint}&region={src.server.region}"
    keys = {"AWS_ACCESS_KEY_ID": src.server.access_key, "AWS_SECRET_ACCESS_KEY": src.server.secret_key}
    # Output that is captured ends only when nobody holds the pipe any more: the daemon has let go of the terminal.
    done = run_s3bridge("mount", argument, point.name, cwd=tmp_path, **keys)
    assert (done.stdout, done.stderr) == ("", "")
    assert (point / "photos/f").read_bytes() == b"content"
    pid = daemon_of(point)
    assert os.getsid(pid) != os.getsid(0) and os.readlink(f"/proc/{pid}/cwd") == "/"
    assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)} == {"/dev/null"}
    run_s3bridge("unmount", point)
    assert has_ended(pid) and not is_mounted(point)


def test_mount_takes_keys_from_a_profile(src, point, tmp_path):
    src.put("f", b"content")
    (tmp_path / ".aws").mkdir()
    credentials = tmp_path / ".aws/credentials"
    credentials.touch(0o600)
    credentials.write_text(
        f"[work]\naws_access_key_id = {src.server.access_key}\naws_secret_access_key = {src.server.secret_key}\n"
    )
    (tmp_path / ".aws/config").write_text(f"[profile work]\nregion = us-east-1\nendpoint_url = {src.endpoint}\n")
    run_s3bridge("mount", f"a=s3://{src.name}?profile=work", point, HOME=tmp_path)
    assert (point / "a/f").read_bytes() == b"content"


def test_names_in_a_config_file_may_be_relative(src, make_mount, point, tmp_path):
    src.put("f", b"content")
    config = tmp_path / "c.ini"
    config.touch(0o600)
    lines = [f"{k} = {v}" for k, v in src.config().items()]
    config.write_text("; a comment\n\n[a b]\n" + "\n".join(lines) + "\n[s3bridge]\n  log_file = log.txt\n")
    run_s3bridge("mount", "-c", "c.ini", "./mnt/", cwd=tmp_path)
    assert (point / "a b/f").read_bytes() == b"content"
    run_s3bridge("unmount", "mnt/", cwd=tmp_path)
    log = (tmp_path / "log.txt").read_text()
    assert f"mounted {point}: 1 bucket" in log and f"unmounted {point}" in log
    assert (tmp_path / "log.txt").stat().st_mode & 0o077 == 0


def test_options_win_over_the_config_file(src, make_mount):
    mount = make_mount({"src": src}, {"writeback": "all"}, options="writeback=none,memory_limit=40M")
    status = mount.status()
    assert status["writeback"] == "none"
    assert status["memory"]["limit_bytes"] == 40 * MIB


def test_owner_and_modes_of_objects_without_metadata(src, make_mount):
    src.put("d/f", b"x")
    mount = make_mount({"src": src}, options="uid=65534,gid=65534,umask=027")
    assert [(mount / "src" / p).stat().st_mode & 0o777 for p in ("d/f", "d")] == [0o640, 0o750]
    assert (mount / "src/d/f").stat().st_uid == 65534


def test_a_mount_in_the_foreground_logs_to_the_terminal(src, make_mount):
    mount = make_mount({"src": src})
    wait_until(lambda: f"mounted {mount.mountpoint}" in mount.log, 5, "the first line of the log")
    assert mount.unmount() == 0


@pytest.fixture
def config_file(src, tmp_path):
    path = tmp_path / "c.ini"
    path.touch(0o600)
    path.write_text("[src]\n" + "".join(f"{k} = {v}\n" for k, v in src.config().items()))
    return path


# mount(8) clears PATH, so s3bridge has to be where it is installed; in a mount namespace of its own that harms nobody.
IN_A_NAMESPACE = """
set -e
mount -t tmpfs none /usr/local/sbin
ln -s "$1" /usr/local/sbin/s3bridge
shift
"$@"
cat "$POINT/src/f"
cat "$POINT/.s3bridge/status.json"
umount "$POINT"
"""

needs_namespace = pytest.mark.skipif(
    os.geteuid() != 0 or run("unshare", "-m", "true", check=False).returncode != 0,
    reason="needs root, and mount namespaces",
)
needs_mount_fuse3 = pytest.mark.skipif(
    not shutil.which("mount.fuse3", path="/sbin:/usr/sbin"), reason="mount.fuse3 is not installed"
)


def run_mount_8(point, *argv):
    env = clean_environment(HOME=point.parent, POINT=point)
    return run("unshare", "-m", "sh", "-c", IN_A_NAMESPACE, "sh", s3bridge_binary(), *argv, env=env, check=False)


@needs_namespace
@needs_mount_fuse3
def test_mount_8(src, config_file, point):
    src.put("f", b"content\n")
    options = "writeback=all,ro,nosuid,nodev,noauto,_netdev,x-systemd.automount"
    done = run_mount_8(point, "mount", "-t", "fuse.s3bridge", config_file, point, "-o", options)
    assert done.returncode == 0, done.stderr
    content, _, status = done.stdout.partition("\n")
    status = json.loads(status)
    assert content == "content" and status["writeback"] == "all" and status["readonly"] is True
    wait_until(lambda: has_ended(status["pid"]), 10, "the end of the daemon")


@needs_namespace
@needs_mount_fuse3
def test_fstab(src, config_file, point, tmp_path):
    src.put("f", b"content\n")
    fstab = tmp_path / "fstab"
    fstab.write_text(f"{config_file} {point} fuse.s3bridge defaults,noauto,umask=077 0 0\n")
    done = run_mount_8(point, "mount", "-T", fstab, point)
    assert done.returncode == 0 and done.stdout.startswith("content\n"), done.stderr


@needs_namespace
@needs_mount_fuse3
def test_mount_8_passes_a_refusal_on(config_file, point):
    done = run_mount_8(point, "mount", "-t", "fuse.s3bridge", config_file, point, "-o", "wombat=1")
    assert done.returncode != 0
    assert 's3bridge: unknown mount option "wombat"' in done.stderr.splitlines(), done.stderr


def test_as_a_mount_helper(config_file, src, point, tmp_path):
    src.put("f", b"content")
    helper = tmp_path / "mount.fuse.s3bridge"
    helper.symlink_to(s3bridge_binary())
    run(helper, config_file, point, "-o", "rw,umask=077", env=clean_environment(HOME=tmp_path))
    assert (point / "src/f").read_bytes() == b"content"


# A mount of one's own namespace, so that a /dev/fuse that only root may open does not matter.
AS_NOBODY = """
set -e
mount -t tmpfs none "$2"
mknod -m 666 "$2/fuse" c 10 229
mount --bind "$2/fuse" /dev/fuse
exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -ec '
"$0" mount -c "$1/c.ini" "$1/mnt"
cat "$1/mnt/src/f"
cp "$1/mnt/src/f" "$1/mnt/src/g"
"$0" wait "$1/mnt/src"
"$0" status "$1/mnt" >/dev/null
stat -c %u "$1/mnt/src/g"
"$0" unmount "$1/mnt"
' "$1" "$3"
"""


@needs_namespace
@pytest.mark.skipif(not shutil.which("fusermount3"), reason="fusermount3 is not installed")
def test_a_mount_by_a_user_who_is_not_root(src):
    src.put("f", b"content\n")
    # pytest's own directories are closed to other users.
    with tempfile.TemporaryDirectory(prefix="s3bridge-nobody.") as home:
        as_nobody(src, pathlib.Path(home))


def as_nobody(src, home):
    (home / "mnt").mkdir()
    dev = home / "dev"
    dev.mkdir()
    binary = home / "s3bridge"
    shutil.copy(s3bridge_binary(), binary)  # a home directory of root's is closed to others
    config = home / "c.ini"
    config.touch(0o600)
    config.write_text("[src]\n" + "".join(f"{k} = {v}\n" for k, v in src.config().items()))
    for path in (home, config, home / "mnt"):
        os.chown(path, 65534, 65534)
    # The leak checker has to trace the process, which a process without core dumps does not allow.
    env = clean_environment(HOME=home, ASAN_OPTIONS="detect_leaks=0")
    done = run("unshare", "-m", "sh", "-c", AS_NOBODY, "sh", binary, dev, home, env=env, check=False)
    if "Operation not permitted" in done.stderr and "fusermount3" in done.stderr:
        pytest.skip(f"fusermount3 may not mount here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["content", "65534"]
    assert src.get("g") == b"content\n"


# --------------------------------------------------------------------------------------------------------------- wait


def test_wait_returns_when_everything_is_stored(slow, make_mount):
    mount = make_mount({"src": slow.bucket}, {"writeback": "all"})
    (mount / "src/f").write_bytes(b"content")
    done = mount.command_line("wait", "--timeout", "0.5", mount / "src", check=False)
    assert done.returncode == TIMED_OUT
    assert re.fullmatch(r"s3bridge: .*m0/src was .*within 0\.5 seconds\n", done.stderr), done.stderr
    slow.go()
    assert (mount.wait().stdout, slow.bucket.get("f")) == ("", b"content")


def test_wait_looks_only_at_what_is_below(slow, make_mount):
    mount = make_mount({"src": slow.bucket}, {"writeback": "all"})
    (mount / "src/pending").write_bytes(b"content")
    for path in ("src/other", "src/pend", "src/none/none"):
        assert mount.command_line("wait", "--timeout", "5", mount / path).returncode == OK
    for path in ("", "src", "src/pending"):
        assert mount.command_line("wait", "--timeout", "0.3", mount / path, check=False).returncode == TIMED_OUT
    slow.go()


def test_wait_lists_what_failed(refusing, make_mount):
    mount = make_mount({"src": refusing}, {"writeback": "all"})
    (mount / "src/refused 1").write_bytes(b"x")
    (mount / "src/refused 2").write_bytes(b"x")
    (mount / "src/good").write_bytes(b"x")
    done = mount.wait(check=False)
    assert done.returncode == FAILED
    lines = sorted(done.stderr.splitlines())
    assert [line.partition(": ")[0] for line in lines] == ["/src/refused 1", "/src/refused 2"], done.stderr
    assert all("access denied" in line for line in lines)
    assert refusing.get("good") == b"x"

    status = mount.status()["changes"]
    assert status["failed"] == 2 and {f["path"] for f in status["failures"]} == {"/src/refused 1", "/src/refused 2"}
    assert "/src/refused 1: " in mount.command_line("status", mount.mountpoint).stdout

    ended = mount.command_line("unmount", mount.mountpoint, check=False)
    assert ended.returncode == FAILED and not is_mounted(mount.mountpoint)
    assert sorted(ended.stderr.splitlines()) == lines
    assert mount.wait_exit() == FAILED
    mount.exit_status = 0


# ------------------------------------------------------------------------------------------------------------- status


def test_status_shows_what_goes_on(src, slow, make_mount):
    mount = make_mount({"here": src, "there": slow.bucket}, {"writeback": "all"})
    (mount / "there/f").write_bytes(b"x" * 3000)
    status = mount.status()
    assert status["pid"] == mount.pid and status["mountpoint"] == str(mount.mountpoint)
    assert [b["name"] for b in status["buckets"]] == ["here", "there"]
    assert status["changes"]["pending"] == 1 and status["changes"]["pending_bytes"] == 3000
    text = mount.command_line("status", mount.mountpoint).stdout
    assert text.startswith(f"{mount.mountpoint}: s3bridge ")
    for words in (
        f"  here   s3://{src.name}/ at {src.endpoint}\n",
        "Changes  1 not yet stored (2.9 KiB), 0 done, 0 failed\n",
        "Memory   ",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 160
    # Any path in the mount will do, and so does the file itself.
    assert mount.command_line("status", mount / "here").stdout.startswith(f"{mount.mountpoint}: ")
    assert json.loads((mount / ".s3bridge/status.json").read_text())["pid"] == mount.pid
    slow.go()
    mount.wait()
    assert "0 not yet stored" in mount.command_line("status", mount.mountpoint).stdout


PARTS = ("priority_queues", "dynamic_memory", "streaming_optimizer", "network_monitor")


@pytest.mark.parametrize("off", [(), *((p,) for p in PARTS), PARTS])
def test_each_part_of_the_engine_can_be_turned_off(src, dst, make_mount, off):
    mount = make_mount({"a": src, "b": dst}, {p: "no" for p in off})
    small, large = random.randbytes(5000), random.randbytes(40 << 20)
    src.put("small", small)
    src.put("large", large)
    for name in ("small", "large"):
        subprocess.run(["cp", mount / "a" / name, mount / "b" / name], check=True, timeout=60)
    assert dst.get("small") == small and dst.get("large") == large
    engine = mount.status()["engine"]
    assert engine["parts"] == {p: p not in off for p in PARTS}
    # One stream for an object leaves the ETag of a single PUT.
    assert ("-" in dst.head("large")["ETag"]) == ("streaming_optimizer" not in off)
    text = mount.command_line("status", mount.mountpoint).stdout
    assert ("network_monitor off" in text) == ("network_monitor" in off)
    if "network_monitor" not in off:
        paths = {(p["endpoint"], p["direction"]): p for p in engine["network"]}
        assert paths[dst.endpoint, "write"]["bytes"] >= len(small) + len(large)
        assert paths[dst.endpoint, "write"]["concurrency_limit"] > 0


def test_the_control_directory_is_not_listed(src, make_mount):
    mount = make_mount({"src": src})
    assert os.listdir(mount.mountpoint) == ["src"]
    assert "status.json" in os.listdir(mount / ".s3bridge")


# ------------------------------------------------------------------------------------------------- writeback, unmount


def test_writeback_all_returns_at_once_and_none_waits(slow, make_mount):
    mounts = {w: make_mount({"src": slow.bucket}, {"writeback": w}) for w in ("all", "none")}
    (mounts["all"] / "src/all").write_bytes(b"x")  # returns though nothing can be stored
    assert not slow.bucket.exists("all")

    writer = subprocess.Popen(["sh", "-c", 'echo x > "$1"', "sh", mounts["none"] / "src/none"])
    wait_until(lambda: slow.held >= 2, 10, "both uploads")
    assert writer.poll() is None, "close() returned before the object was stored"
    slow.go()
    assert writer.wait(20) == 0
    assert slow.bucket.get("none") == b"x\n"
    mounts["all"].wait()
    assert slow.bucket.get("all") == b"x"


def test_unmount_waits_and_says_so(slow, make_mount):
    mount = make_mount({"src": slow.bucket}, {"writeback": "all"})
    (mount / "src/f").write_bytes(b"x" * 2048)
    ending = subprocess.Popen(
        [s3bridge_binary(), "unmount", mount.mountpoint], stderr=subprocess.PIPE, text=True, env=mount.environment()
    )
    line = ending.stderr.readline()
    assert line == "s3bridge: waiting for 1 change, 2.0 KiB\n", line
    assert ending.poll() is None and is_mounted(mount.mountpoint)
    slow.go()
    assert ending.communicate(timeout=20)[1] == "" and ending.returncode == OK
    assert mount.wait_exit() == OK
    assert slow.bucket.get("f") == b"x" * 2048


def test_unmount_wants_the_mount_point_itself(src, make_mount):
    mount = make_mount({"src": src})
    done = mount.command_line("unmount", mount / "src", check=False)
    assert done.returncode == FAILED and f"is inside the mount {mount.mountpoint}" in done.stderr
    assert is_mounted(mount.mountpoint)


def test_unmount_from_inside_the_mount(src, make_mount):
    mount = make_mount({"src": src})
    run(s3bridge_binary(), "unmount", "..", cwd=mount / "src", env=mount.environment())
    assert not is_mounted(mount.mountpoint)
    assert mount.wait_exit() == OK


@pytest.mark.parametrize("foreground", [True, False], ids=["foreground", "background"])
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=["TERM", "INT", "HUP"])
def test_a_signal_unmounts_and_stores_what_is_pending(src, make_mount, sig, foreground):
    mount = make_mount({"src": src}, {"writeback": "all"}, foreground=foreground)
    contents = {f"f{i}": os.urandom(200_000) for i in range(10)}
    for name, data in contents.items():
        (mount / "src" / name).write_bytes(data)
    os.kill(mount.pid, sig)
    assert mount.wait_exit(20) in (OK, None)
    assert not is_mounted(mount.mountpoint)
    assert {k: src.get(k) for k in src.keys()} == contents


def test_a_signal_ends_a_mount_that_is_in_use(src, make_mount):
    src.put("old", os.urandom(3 * MIB))
    mount = make_mount({"src": src}, {"writeback": "all"})
    reading = os.open(mount / "src/old", os.O_RDONLY)
    writing = os.open(mount / "src/new", os.O_WRONLY | os.O_CREAT)
    assert os.read(reading, MIB) and os.write(writing, b"x" * 100_000)
    listing = os.open(mount / "src", os.O_RDONLY)
    os.kill(mount.pid, signal.SIGTERM)
    assert mount.wait_exit(20) == OK
    for fd in (reading, writing, listing):
        with contextlib.suppress(OSError):
            os.close(fd)
    assert not is_mounted(mount.mountpoint)
    # As when the machine is shut down: what was written is kept.
    assert src.get("new") == b"x" * 100_000


def test_a_second_signal_does_not_wait(slow, make_mount):
    mount = make_mount({"src": slow.bucket}, {"writeback": "all"})
    (mount / "src/f").write_bytes(b"x")
    os.kill(mount.pid, signal.SIGTERM)
    wait_until(lambda: "storing the last 1 change" in mount.log, 10, "the end of the mount")
    os.kill(mount.pid, signal.SIGTERM)
    assert mount.wait_exit(10) == FAILED
    assert "1 change" in mount.log and "lost" in mount.log
    mount.exit_status = 0
    slow.go()


def test_umount_8_stores_what_is_pending(src, make_mount):
    mount = make_mount({"src": src}, {"writeback": "all"})
    (mount / "src/f").write_bytes(b"x" * 100_000)
    if os.geteuid() == 0:
        run("umount", mount.mountpoint)
    else:
        run("fusermount3", "-u", mount.mountpoint)
    assert mount.wait_exit(20) == OK
    assert src.get("f") == b"x" * 100_000


def test_a_mount_can_follow_a_mount_at_the_same_place(src, make_mount):
    for i in range(3):
        mount = make_mount({"src": src}, foreground=False)
        (mount / f"src/f{i}").write_bytes(b"x")
        mount.unmount()
        shutil.rmtree(mount.mountpoint)
    assert src.keys() == ["f0", "f1", "f2"]
