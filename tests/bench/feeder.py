# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies through a mount made by hand: when each was asked for, and when it was in S3.

The servers keep an object as a file that appears under its name when it is complete, and the time at which the file got
that name is its change time: it tells when the object was there, whatever the mount says."""

import os
import threading
import time

from rig import base


def copy_file(source, target):
    """As cp does it: the file system is asked to copy, and moves the bytes when it likes."""
    with open(source, "rb", buffering=0) as near, open(target, "wb", buffering=0) as far:
        left = os.fstat(near.fileno()).st_size
        while left:
            n = os.copy_file_range(near.fileno(), far.fileno(), left)
            if n == 0:
                raise base.RigError(f"{source} is shorter than it was")
            left -= n


def arrivals(bucket, prefix=""):
    """{key: seconds since the epoch} of what is in BUCKET now."""
    top = bucket.server.data / bucket.name
    found = {}

    def scan(directory, key):
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith(".sgwtmp"):
                        scan(entry.path, f"{key}{entry.name}/")
                else:
                    found[key + entry.name] = entry.stat().st_ctime_ns / 1e9

    if (top / prefix).is_dir():
        scan(top / prefix, f"{prefix}/" if prefix else "")
    return found


class Paced:
    """Copies of SOURCE to TARGET/0, 1, ...: COUNT of them, PER_S a second; `asked` says when each was closed."""

    def __init__(self, source, target, count, per_s):
        self.asked = {}
        self.failed = None
        self.thread = threading.Thread(target=self._run, args=(source, target, count, per_s), daemon=True)
        self.thread.start()

    def _run(self, source, target, count, per_s):
        start = time.monotonic()
        try:
            for i in range(count):
                time.sleep(max(0, start + i / per_s - time.monotonic()))
                copy_file(source, target / str(i))
                self.asked[str(i)] = time.time()
        except OSError as e:
            self.failed = e

    def join(self, timeout):
        self.thread.join(timeout)
        if self.failed:
            raise self.failed
        if self.thread.is_alive():
            raise base.RigError("the copies take too long")


class Stream:
    """Copies without end, with about BACKLOG of them not yet in S3; `done` is how many are."""

    def __init__(self, sources, target, bucket, prefix, backlog):
        self.sources = sources
        self.target = target
        self.directory = bucket.server.data / bucket.name / prefix
        self.backlog = backlog
        self.done = 0
        self.failed = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stopping.set()
        self.thread.join(60)
        if self.failed and not exc[0]:
            raise self.failed

    def _count(self):
        self.done = len(os.listdir(self.directory)) if self.directory.exists() else 0
        return self.done

    def _run(self):
        asked = 0
        try:
            while not self.stopping.is_set():
                room = self.backlog - (asked - self._count())
                if room < self.backlog // 8:
                    time.sleep(0.02)
                for _ in range(min(max(room, 0), 64)):
                    copy_file(self.sources[asked % len(self.sources)], self.target / str(asked))
                    asked += 1
        except OSError as e:
            self.failed = e

    def rates(self, seconds, interval=0.5):
        """Copies a second for each INTERVAL of the next SECONDS."""
        found = []
        before, at = self.done, time.monotonic()
        end = at + seconds
        while at < end:
            time.sleep(interval)
            now, done = time.monotonic(), self.done
            found.append((done - before) / (now - at))
            before, at = done, now
            if self.failed:
                raise self.failed
        return found
