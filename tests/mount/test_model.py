# SPDX-License-Identifier: GPL-3.0-or-later
"""Several programs at once do what comes to their minds, each in a corner of its own where a model knows what must be there: at every
moment in the mount, and after the unmount in S3."""

import collections
import datetime
import hashlib
import os
import random
import threading
import time
import traceback

import pytest
from rig import run

# The check takes a short run; S3BRIDGE_MODEL_SECONDS=600 is for a long one.
SECONDS = int(os.environ.get("S3BRIDGE_MODEL_SECONDS", "4"))
WORKERS = 4


class Worker(threading.Thread):
    """Keeps `files` {path: bytes} and `folders`, both relative to the mount, next to what it does there."""

    def __init__(self, mount, number, seed, end, failed):
        super().__init__(daemon=True)
        self.mount = mount
        self.rng = random.Random(f"{seed}:{number}")
        self.end = end
        self.failed = failed
        self.tops = [f"a/w{number}", f"b/w{number}"]
        self.files = {}
        self.folders = set(self.tops)
        self.steps = 0
        self.done = collections.deque(maxlen=60)
        self.error = None

    def run(self):
        actions = [self.write, self.write, self.copy, self.copy, self.read, self.read, self.read, self.unlink, self.rename]
        actions += [self.rename, self.append, self.edit, self.mkdir, self.listdir, self.listdir, self.rename_folder]
        actions += [self.remove_folder]
        try:
            for top in self.tops:
                os.mkdir(self.mount / top)
            while time.monotonic() < self.end and not self.failed.is_set():
                self.steps += 1
                self.rng.choice(actions)()
        except Exception:
            self.failed.set()
            self.error = f"step {self.steps}: {traceback.format_exc()[-2000:]}\nwhat it did:\n" + "\n".join(self.done)

    def note(self, *what):
        """For whoever has to find out why: what was done before it failed."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%H:%M:%S.%f")[:-3]
        self.done.append(f"{now} {' '.join(str(w) for w in what)}")

    def any_file(self):
        return self.rng.choice(sorted(self.files)) if self.files else None

    def new_name(self):
        return f"{self.rng.choice(sorted(self.folders))}/{self.rng.choice('abcdefgh')}{self.rng.randrange(4)}"

    def free_for_file(self, path, other=None):
        return path not in self.folders and path != other

    def below(self, folder):
        return [f for f in self.files if f.startswith(folder + "/")], [
            d for d in self.folders if d == folder or d.startswith(folder + "/")
        ]

    def write(self):
        path, data = self.new_name(), self.rng.randbytes(self.rng.choice((0, 1, 500, 70_000, 1_500_000)))
        if self.free_for_file(path):
            self.note("write", path, len(data))
            (self.mount / path).write_bytes(data)
            self.files[path] = data

    def copy(self):
        old, new = self.any_file(), self.new_name()
        if old and self.free_for_file(new, old):
            self.note("cp", old, new, len(self.files[old]))
            run("cp", self.mount / old, self.mount / new)
            self.files[new] = self.files[old]

    def rename(self):
        old, new = self.any_file(), self.new_name()
        if old and self.free_for_file(new, old):
            self.note("mv", old, new)
            run("mv", "-T", self.mount / old, self.mount / new)
            self.files[new] = self.files.pop(old)

    def read(self):
        path = self.any_file()
        if path:
            self.note("read", path)
            assert (self.mount / path).read_bytes() == self.files[path], path

    def unlink(self):
        path = self.any_file()
        if path:
            self.note("unlink", path)
            os.unlink(self.mount / path)
            del self.files[path]

    def append(self):
        path, data = self.any_file(), self.rng.randbytes(self.rng.choice((1, 3000, 200_000)))
        if path:
            self.note("append", path, len(data))
            with open(self.mount / path, "ab") as f:
                f.write(data)
            self.files[path] += data

    def edit(self):
        path, data = self.any_file(), self.rng.randbytes(1000)
        if path:
            old = self.files[path]
            at = self.rng.randrange(len(old) + 1)
            self.note("edit", path, at)
            with open(self.mount / path, "r+b") as f:
                f.seek(at)
                f.write(data)
            self.files[path] = old[:at] + data + old[at + len(data) :]

    def mkdir(self):
        path = self.new_name()
        if path not in self.files and path not in self.folders and path.count("/") < 5:
            self.note("mkdir", path)
            os.mkdir(self.mount / path)
            self.folders.add(path)

    def listdir(self):
        folder = self.rng.choice(sorted(self.folders))
        names = {p[len(folder) + 1 :] for p in (*self.files, *self.folders) if p.startswith(folder + "/")}
        self.note("ls", folder)
        # versitygw lists the temporary files of PUTs in progress.
        have = {n for n in os.listdir(self.mount / folder) if ".sgwtmp." not in n}
        want = {n for n in names if "/" not in n}
        assert have == want, f"{folder}: missing {want - have}, too much {have - want}"

    def rename_folder(self):
        new = self.new_name()
        old = [d for d in sorted(self.folders - set(self.tops)) if d[0] == new[0] and not f"{new}/".startswith(f"{d}/")]
        if old and new not in self.files and new not in self.folders:
            old = self.rng.choice(old)
            self.note("mv folder", old, new)
            run("mv", "-T", self.mount / old, self.mount / new)
            files, folders = self.below(old)
            for f in files:
                self.files[new + f[len(old) :]] = self.files.pop(f)
            for d in folders:
                self.folders.remove(d)
                self.folders.add(new + d[len(old) :])

    def remove_folder(self):
        folders = sorted(self.folders - set(self.tops))
        if folders:
            folder = self.rng.choice(folders)
            self.note("rm -r", folder)
            run("rm", "-r", self.mount / folder)
            files, folders = self.below(folder)
            for f in files:
                del self.files[f]
            self.folders -= set(folders)


@pytest.mark.parametrize("writeback", ("none", "all"))
def test_the_mount_and_s3_are_what_the_model_says(src, dst, make_mount, writeback):
    seed = random.randrange(1 << 32)
    mount = make_mount({"a": src, "b": dst}, {"writeback": writeback, "metadata_ttl": "1"})
    failed, end = threading.Event(), time.monotonic() + SECONDS
    workers = [Worker(mount, i, seed, end, failed) for i in range(WORKERS)]
    for w in workers:
        w.start()
    for w in workers:
        w.join(SECONDS + 60)
    assert not any(w.is_alive() for w in workers), f"seed {seed}: a program hangs"
    errors = [w.error for w in workers if w.error]
    assert not errors, "\n".join([f"seed {seed}", *errors])
    mount.unmount()
    want = {path: hashlib.sha256(data).hexdigest() for w in workers for path, data in w.files.items()}
    have = {f"{name}/{key}": value for name, bucket in (("a", src), ("b", dst)) for key, value in bucket.contents().items()}
    wrong = sorted(path for path in have.keys() | want.keys() if have.get(path) != want.get(path))
    assert not wrong, "\n".join([f"seed {seed}: wrong in S3: {wrong}", *(line for w in workers for line in w.done)])
    assert src.uploads() == dst.uploads() == []
