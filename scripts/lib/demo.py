# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of scripts/demo that comes after the build: servers, data, the mount, the programs, the proof, the table."""

import argparse
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/mount"))

import rig  # noqa: E402

MB = 1_000_000
MIB = 1 << 20

ODD_NAMES = (
    "a name with spaces.txt",
    "-r",
    "--delete",
    "été/Größe – 写真.jpg",
    "quote'and\"quote",
    "100%+1&more=yes?no#maybe.txt",
    "[brackets]*{braces}",
    "$HOME;`true`",
    "deep/er/and/deep/er/again/file",
)


def say(text):
    print(f"== {text}", flush=True)


def show(argv):
    print("   $ " + " ".join(argv), flush=True)


def make_plan(small):
    """{key: size} of what is put into the source bucket."""
    rng = random.Random(7)
    share = 10 if small else 1
    plan = {}
    for i in range(1000 // share):
        name = ODD_NAMES[i] if i < len(ODD_NAMES) else f"folder {i % 23}/sub-{i % 7}/file-{i:04d}.dat"
        plan[f"tree/{name}"] = rng.randrange(1024, 100 * 1024)
    for i in range(20 // share):
        plan[f"photos/photo-{i:02d}.raw"] = 8 * MIB
    plan["film.mkv"] = 300 * MIB // share
    return plan


class Progress:
    """One line that is written over while something works; on anything but a terminal, one line every few seconds."""

    def __init__(self, mount, what):
        self.mount = mount
        self.what = what
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.loop, daemon=True)

    def __enter__(self):
        self.start = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        self.thread.join()
        if sys.stdout.isatty():
            print("\r\033[K", end="", flush=True)

    def loop(self):
        every = 0.5 if sys.stdout.isatty() else 5
        while not self.stop.wait(every):
            try:
                rss = rig.usage_of(self.mount.pid).peak_rss_bytes / MIB
            except (OSError, TypeError):
                continue
            line = f"   {self.what}: {time.monotonic() - self.start:.1f} s, daemon's peak memory {rss:.0f} MiB"
            print(f"\r\033[K{line}" if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)


class Demo:
    def __init__(self, root, small):
        self.root = root
        self.plan = make_plan(small)
        self.digests = {}
        self.rows = []

    def fill(self, bucket):
        say(f"{len(self.plan)} objects, {sum(self.plan.values()) / MB:.0f} MB, into s3://src with boto3")
        start = time.monotonic()
        shown = start
        for done, (key, size) in enumerate(self.plan.items()):
            data = rig.Pattern(key, size)
            if size < 8 * MIB:
                body = data.read()
                bucket.put(key, body)
                self.digests[key] = hashlib.sha256(body).hexdigest()
            else:
                self.digests[key] = data.sha256()
                bucket.upload(key, data)
            if time.monotonic() - shown > 3:
                shown = time.monotonic()
                print(f"   {done + 1} of {len(self.plan)}", flush=True)
        print(f"   done ({time.monotonic() - start:.1f} s)", flush=True)

    def select(self, prefix):
        return {k: v for k, v in self.plan.items() if k.startswith(prefix)}

    def step(self, mount, name, argv, moved):
        """Runs ARGV in the mount until all is durable; MOVED: how many files and bytes that is."""
        show(argv)
        before = mount.usage()
        start = time.monotonic()
        with Progress(mount, name):
            rig.run(*argv, timeout=1800, cwd=mount.mountpoint)
            mount.wait("", timeout=1800)
        seconds = time.monotonic() - start
        after = mount.usage()
        files, size = moved
        self.rows.append(
            (
                name,
                str(files),
                f"{size / MB:.0f}",
                f"{seconds:.2f}",
                f"{size / MB / seconds:.0f}",
                f"{files / seconds:.0f}",
                f"{after.peak_rss_bytes / MIB:.0f}",
                str(after.written_bytes - before.written_bytes),
            )
        )

    def compare(self, bucket, prefix, keys, source_prefix=""):
        """Every byte below PREFIX, read back with boto3, against what was made."""
        want = {prefix + k[len(source_prefix) :]: self.digests[k] for k in keys}
        have = bucket.contents(prefix)
        if have != want:
            wrong = sorted(k for k in want.keys() | have.keys() if want.get(k) != have.get(k))
            raise SystemExit(f"demo: {len(wrong)} objects differ, the first: {wrong[0]!r}")
        print(f"   compared: {len(want)} objects, every byte the same", flush=True)

    def run(self, mount, src, dst):
        total = (len(self.plan), sum(self.plan.values()))
        tree = self.select("tree/")
        photos = self.select("photos/")
        tree_size = (len(tree), sum(tree.values()))

        say("cp -r, from one server to the other")
        self.step(mount, "cp -r", ["cp", "-r", "src/.", "dst/copied"], total)
        self.compare(dst, "copied/", self.plan)

        say("rsync -a, and once more with nothing to do")
        self.step(mount, "rsync -a", ["rsync", "-a", "src/", "dst/synced/"], total)
        self.compare(dst, "synced/", self.plan)
        self.step(mount, "rsync -a again", ["rsync", "-a", "src/", "dst/synced/"], (0, 0))

        say("tar, into the other server and out again")
        self.step(mount, "tar -c", ["tar", "-cf", "dst/tree.tar", "-C", "src", "tree"], tree_size)
        self.compare_tar(dst, "tree.tar", tree)
        (mount / "dst/unpacked").mkdir()
        self.step(mount, "tar -x", ["tar", "-xf", "dst/tree.tar", "-C", "dst/unpacked"], tree_size)
        self.compare(dst, "unpacked/", tree)

        say("cp -r within one server: the server copies by itself")
        photos_size = (len(photos), sum(photos.values()))
        self.step(mount, "cp -r, same server", ["cp", "-r", "src/photos", "src/photos-2"], photos_size)
        self.compare(src, "photos-2/", photos, "photos/")

        say("mv of a tree from one server to the other")
        self.step(mount, "mv", ["mv", "src/tree", "dst/moved"], tree_size)
        self.compare(dst, "moved/", tree, "tree/")
        left = src.files("tree/")
        if left:
            raise SystemExit(f"demo: mv left {len(left)} objects behind, the first: {left[0]!r}")

    def compare_tar(self, bucket, key, keys):
        body = bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"]
        with tarfile.open(fileobj=body, mode="r|") as archive:
            have = {m.name: hashlib.sha256(archive.extractfile(m).read()).hexdigest() for m in archive if m.isreg()}
        if have != {k: self.digests[k] for k in keys}:
            raise SystemExit(f"demo: the archive {key} does not hold what was put into it")
        print(f"   compared: {len(have)} files in the archive, every byte the same", flush=True)

    def table(self):
        print()
        rig.print_table(("", "files", "MB", "seconds", "MB/s", "objects/s", "peak RSS MiB", "bytes to local disk"), self.rows)
        print("\nSeconds run until everything is in the destination; memory and disk are the daemon's, since it started.")


def work_directory(bytes_needed):
    """Memory if there is plenty and the servers can keep their attributes there, so that no disk is measured."""
    shm = pathlib.Path("/dev/shm")
    try:
        with open("/proc/meminfo") as f:
            available = next(int(line.split()[1]) * 1024 for line in f if line.startswith("MemAvailable:"))
        free = shutil.disk_usage(shm).free
        with tempfile.TemporaryDirectory(dir=shm) as probe:
            os.setxattr(probe, "user.s3bridge-probe", b"1")
        if min(available, free) > 2 * bytes_needed:
            return shm
    except OSError:
        pass
    place = pathlib.Path(tempfile.gettempdir())
    free = shutil.disk_usage(place).free
    if free < bytes_needed * 1.2:
        raise SystemExit(
            f"demo: {place} has {free / MB:.0f} MB free and {bytes_needed * 1.2 / MB:.0f} MB are needed: "
            "set TMPDIR to a directory with more room, or use --small"
        )
    return place


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()

    # An ordinary exception for each signal that ends us, so that every `with` below cleans up.
    def leave(number, frame):
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)

    # The source and three full copies, and the small tree three times more.
    needed = 4 * sum(make_plan(options.small).values())
    root = pathlib.Path(tempfile.mkdtemp(prefix="s3bridge-demo.", dir=work_directory(needed)))
    try:
        demo = Demo(root, options.small)
        say(f"two S3 servers, each with its own port, keys and directory, below {root}")
        with rig.Server("versitygw", root / "one") as one, rig.Server("versitygw", root / "two") as two:
            src, dst = one.make_bucket("src"), two.make_bucket("dst")
            print(f"   {one.endpoint} holds s3://src, {two.endpoint} holds s3://dst", flush=True)
            demo.fill(src)
            say("mounting both")
            mount = rig.Mount(root, {"src": src, "dst": dst}, foreground=False, name="mnt", limit_s=7200)
            show([os.path.relpath(c, rig.TOP) if c == mount.binary else str(c) for c in mount.command()])
            with mount:
                demo.run(mount, src, dst)
                say("unmounting")
        demo.table()
        print("\ndemo: everything arrived, and every byte was compared")
        return 0
    except (rig.RigError, subprocess.TimeoutExpired) as e:
        print(f"demo: {e}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
