# SPDX-License-Identifier: GPL-3.0-or-later
"""s3bridge status --watch: on a terminal, in a pipe, and how it ends."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from fakes import Proxy
from rig import MIB, Pattern, is_mounted, run, wait_until

pytestmark = pytest.mark.servers("versitygw")


class Terminal:
    """A program on a terminal of its own, as its controlling one: Ctrl-C is typed."""

    def __init__(self, argv, env, columns=80, rows=24):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], [os.fspath(a) for a in argv], env)
        self.raw = b""
        self.resize(columns, rows)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        """What comes within SECONDS; all of it is kept in raw."""
        deadline = time.monotonic() + seconds
        begin = len(self.raw)
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                try:
                    self.raw += os.read(self.fd, 65536)
                except OSError:
                    break  # the program has ended
        return self.raw[begin:].decode()

    def end(self):
        """Its exit status; what it said last is in raw."""
        self.read(2)
        pid, status = wait_until(lambda: (w := os.waitpid(self.pid, os.WNOHANG))[0] and w, 3, "the end of the program")
        return os.waitstatus_to_exitcode(status)


def pictures(text):
    """The screens that were drawn, as lists of lines, without what moves the cursor and clears."""
    whole = re.split(r"\x1b\[H(?:\x1b\[2J)?", text)[1:]
    return [re.sub(r"\x1b\[[KJ]|\x1b\[\?25[lh]", "", p).replace("\r", "").split("\n") for p in whole]


def watch(mount, **size):
    return Terminal([mount.binary, "status", "--watch", mount.mountpoint], mount.environment(), **size)


@pytest.fixture
def copying(src, dst, make_mount):
    """A mount that copies three objects to a server that takes its time with each part."""

    def slow(request):
        if request.command == "PUT":
            time.sleep(0.5)

    names = ["one", "two", "three"]
    for name in names:
        src.upload(name, Pattern(name, 48 * MIB))
    with Proxy(dst.server, slow) as proxy:
        mount = make_mount({"src": src, "dst": dst.via(proxy.endpoint)}, {"writeback": "all", "part_size": "8M"})
        for name in names:
            run("cp", mount / "src" / name, mount / "dst" / name)
        yield mount
        mount.wait()


def test_a_terminal_shows_copies_and_is_given_back(copying):
    with watch(copying) as terminal:
        text = terminal.read(3.5)
        shown = pictures(text)
        assert text.startswith("\x1b[?25l") and len(shown) >= 3
        assert all(len(p) <= 24 and max(map(len, p)) <= 80 for p in shown)
        assert re.search(r"m0  up 0:\d\d  writeback=all$", shown[0][0])
        lines = [line for p in shown for line in p]
        copy = re.compile(r" +\d+% \[[#.]+\] +48 MiB +\S+ \S+/s +\S+  dst/(one|two|three)")
        assert any(copy.fullmatch(line) for line in lines), text
        for words in ("Changes   3 not yet stored (144 MiB)", "Total     [", "Memory    [", " workers x ", "  write "):
            assert any(words in line for line in lines), words
        os.write(terminal.fd, b"\x03")
        assert terminal.end() == 0
        assert terminal.raw.endswith(b"\x1b[?25h\r\n")


def test_it_follows_the_size_of_the_terminal(src, make_mount):
    with watch(make_mount({"src": src})) as terminal:
        narrow = pictures(terminal.read(0.6))
        terminal.resize(130, 8)
        wide = pictures(terminal.read(0.6))
        bar = re.compile(r"^Memory +(\[\.*\])")
        lengths = [len(next(m for line in p if (m := bar.match(line))).group(1)) for p in (narrow[0], wide[-1])]
        assert lengths[1] > lengths[0] and len(wide[-1]) <= 8


def test_a_pipe_gets_one_picture_after_another(src, make_mount):
    mount = make_mount({"src": src})
    process = subprocess.Popen([mount.binary, "status", "--watch", mount.mountpoint], stdout=subprocess.PIPE, text=True)
    time.sleep(1.6)
    process.send_signal(signal.SIGINT)
    text = process.communicate(timeout=5)[0]
    assert process.returncode == 0
    assert "\x1b" not in text and text.count("\nMemory ") == text.count("\n\n") + 1 == 2


def test_it_ends_when_nobody_reads_any_more(src, make_mount):
    mount = make_mount({"src": src})
    done = run("sh", "-c", '"$0" status --watch "$1" | head -n 1', mount.binary, mount.mountpoint, timeout=10)
    assert "up 0:" in done.stdout


def test_it_says_that_the_mount_is_gone(src, make_mount):
    mount = make_mount({"src": src})
    with watch(mount) as terminal:
        terminal.read(0.5)
        mount.unmount()
        assert not is_mounted(mount.mountpoint)
        assert terminal.end() == 1
        last = terminal.raw.rpartition(b"\x1b[?25h")[2].decode()
        assert last == f"\r\ns3bridge: {mount.mountpoint} is not mounted any more\r\n"


def test_it_says_that_the_daemon_is_gone(src, make_mount):
    mount = make_mount({"src": src})
    with watch(mount) as terminal:
        terminal.read(0.5)
        mount.kill()
        assert terminal.end() == 1
        last = terminal.raw.rpartition(b"\x1b[?25h")[2].decode()
        assert f"s3bridge: the daemon of {mount.mountpoint} is gone: run" in last
    mount.wait_exit()
    mount.abandon()
    mount.exit_status = 0


def test_ctrl_c_works_while_the_daemon_does_not_answer(src, make_mount):
    mount = make_mount({"src": src})
    with watch(mount) as terminal:
        terminal.read(0.5)
        os.kill(mount.pid, signal.SIGSTOP)
        try:
            terminal.read(1.5)  # by now it waits for an answer
            os.write(terminal.fd, b"\x03")
            assert terminal.end() == 0
            assert terminal.raw.endswith(b"\x1b[?25h\r\n")
        finally:
            os.kill(mount.pid, signal.SIGCONT)
    wait_until(lambda: mount.status()["pid"] == mount.pid, 5, "the daemon")


def test_unmount_waits_a_moment_for_who_looks(src, make_mount):
    mount = make_mount({"src": src})
    with open(mount / ".s3bridge/status.json") as f:
        unmounting = subprocess.Popen([mount.binary, "unmount", mount.mountpoint], env=mount.environment())
        time.sleep(0.08)
        f.read()
    assert unmounting.wait(10) == 0
    mount.wait_exit()


def test_json_and_watch_do_not_go_together(src, make_mount):
    mount = make_mount({"src": src})
    done = mount.command_line("status", "--json", "--watch", mount.mountpoint, check=False)
    assert done.returncode == 2 and "choose one" in done.stderr
