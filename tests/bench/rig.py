# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks share: servers in memory, a delaying proxy, competitors, and what a program costs.

Figures of different runs on a busy machine do not compare; figures of one run do. So each benchmark runs everything it
compares in one go, taking turns.
"""

import argparse
import concurrent.futures
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]


def _load_mount_rig():
    """tests/mount/rig.py, under a name of its own; with the Python that scripts/deps has made, where this one lacks boto3."""
    if importlib.util.find_spec("boto3") is None:
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        python = cache / "s3bridge-dev/venv/bin/python"
        if not python.exists() or pathlib.Path(sys.executable) == python:
            sys.exit("boto3 is missing: run scripts/deps bench")
        os.execv(python, [str(python), *sys.argv])
    spec = importlib.util.spec_from_file_location("mount_rig", TOP / "tests/mount/rig.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mount_rig"] = module
    spec.loader.exec_module(module)
    return module


base = _load_mount_rig()
MIB = base.MIB
MB = 1_000_000


def say(text):
    print(f"== {text}", flush=True)


def parser(description):
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--rounds", type=int, default=1, help="how often everything is measured")
    p.add_argument("--rtt-ms", type=int, default=0, help="round trip to each server; 0: none added")
    p.add_argument("--mb-per-s", type=float, default=0, help="of each connection and direction; 0: unlimited")
    p.add_argument("--dir", default="/dev/shm", help="where the servers keep their objects")
    p.add_argument("--json", metavar="FILE", help="also write the figures there")
    return p


def leave_on_signals():
    """Each signal that ends us becomes an exception, so that every `with` cleans up."""

    def leave(number, frame):
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


class Bench:
    """Two servers, src and dst, and what the mount and its competitors reach them by.

    The keys are those that the limit program has built in; the servers are on loopback and live as long as the run."""

    def __init__(self, options):
        self.options = options
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="s3bridge-bench.", dir=options.dir))
        self.proxy = None
        self.links = ()
        self.rtt_ms = self.mb_per_s = 0
        self.rows = []
        self.mounts = 0

    def __enter__(self):
        leave_on_signals()
        keys = {"access_key": "test", "secret_key": "testsecret"}
        self.servers = [base.Server("versitygw", self.root / name, **keys) for name in ("one", "two")]
        try:
            for server in self.servers:
                server.start()
            self.src = self.servers[0].make_bucket("src")
            self.dst = self.servers[1].make_bucket("dst")
            self.src_endpoint, self.dst_endpoint = (s.endpoint for s in self.servers)
            self.set_link(self.options.rtt_ms, self.options.mb_per_s)
            return self
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc):
        self.close()

    def close(self):
        if self.proxy:
            self.proxy.stop()
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def set_link(self, rtt_ms, mb_per_s):
        """What is mounted through links feels it at once; 0 and 0 means that later mounts have no proxy on their way."""
        self.rtt_ms, self.mb_per_s = rtt_ms, mb_per_s
        if not rtt_ms and not mb_per_s:
            self.src_endpoint, self.dst_endpoint = (s.endpoint for s in self.servers)
            return
        if not self.proxy:
            self.proxy = base.Toxiproxy(self.root)
            self.links = [self.proxy.add(s.endpoint) for s in self.servers]
        for link in self.links:
            link.set(rtt_ms, mb_per_s)
        self.src_endpoint, self.dst_endpoint = (link.endpoint for link in self.links)

    def mount(self, engine=None):
        """A fresh s3bridge mount of both, with nothing in any cache."""
        self.mounts += 1
        buckets = {"src": self.src.via(self.src_endpoint), "dst": self.dst.via(self.dst_endpoint)}
        return base.Mount(self.root, buckets, engine, name=f"m{self.mounts}", limit_s=3600)

    def link(self):
        parts = []
        if self.rtt_ms:
            parts.append(f"{self.rtt_ms} ms round trip")
        if self.mb_per_s:
            parts.append(f"{self.mb_per_s:g} MB/s per connection")
        return ", ".join(parts) or "direct"

    def rclone_environment(self):
        env = {"RCLONE_CONFIG": self.root / "rclone.conf", "HOME": self.root}
        (self.root / "rclone.conf").touch()
        for name, endpoint in (("SRC", self.src_endpoint), ("DST", self.dst_endpoint)):
            env |= {
                f"RCLONE_CONFIG_{name}_TYPE": "s3",
                f"RCLONE_CONFIG_{name}_PROVIDER": "Other",
                f"RCLONE_CONFIG_{name}_ENDPOINT": endpoint,
                f"RCLONE_CONFIG_{name}_ACCESS_KEY_ID": self.servers[0].access_key,
                f"RCLONE_CONFIG_{name}_SECRET_ACCESS_KEY": self.servers[0].secret_key,
                f"RCLONE_CONFIG_{name}_FORCE_PATH_STYLE": "true",
            }
        return base.clean_environment(**env)

    def mc_environment(self):
        """Aliases by the environment, so that nothing is written."""
        env = {"HOME": self.root, "MC_CONFIG_DIR": self.root / "mc"}
        for name, endpoint in (("src", self.src_endpoint), ("dst", self.dst_endpoint)):
            keys = f"{self.servers[0].access_key}:{self.servers[0].secret_key}"
            env[f"MC_HOST_{name}"] = endpoint.replace("http://", f"http://{keys}@")
        return base.clean_environment(**env)

    def add(self, **row):
        self.rows.append(row)

    def report(self, keys, columns):
        """Medians of all rounds: one line for each combination of KEYS; COLUMNS: {title: (field, format)}."""
        groups = {}
        for row in self.rows:
            groups.setdefault(tuple(row[k] for k in keys), []).append(row)
        lines = []
        for group, rows in groups.items():
            cells = []
            for field, shape in columns.values():
                values = [r[field] for r in rows if r.get(field) is not None]
                cells.append(format(statistics.median(values), shape) if values else "-")
            lines.append((*group, *cells))
        print()
        base.print_table((*keys, *columns), lines)
        print(f"\n{self.link()}; medians of {self.options.rounds}; servers: versitygw in {self.options.dir}")
        if self.options.json:
            pathlib.Path(self.options.json).write_text(
                json.dumps({"link": self.link(), "rounds": self.options.rounds, "rows": self.rows}, indent=1) + "\n"
            )


class Cost:
    """What one program run to its end took: seconds, CPU seconds, peak memory."""

    def __init__(self, wall_s, cpu_s, rss_bytes, output):
        self.wall_s = wall_s
        self.cpu_s = cpu_s
        self.rss_bytes = rss_bytes
        self.output = output


class PeakMemory:
    """The largest resident memory of PID. Asked for now and then, because what wait4 says of it begins with what this
    program had when it started the other."""

    def __init__(self, pid, interval=0.02):
        self.rss_bytes = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, args=(pid, interval), daemon=True)
        self.thread.start()

    def _watch(self, pid, interval):
        while not self.ended.wait(interval):
            self.rss_bytes = max(self.rss_bytes, base.usage_of(pid).peak_rss_bytes)

    def stop(self):
        self.ended.set()
        self.thread.join()
        return self.rss_bytes


def run_measured(argv, env=None, stdin=None, cwd=None, timeout=3600):
    """The kernel's own account of the program and of what it waited for."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as given:
        if stdin:
            given.write(stdin.encode())
            given.seek(0)
        start = time.monotonic()
        process = subprocess.Popen(
            [os.fspath(a) for a in argv], stdin=given, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=cwd
        )
        watchdog = threading.Timer(timeout, process.kill)
        watchdog.daemon = True
        watchdog.start()
        memory = PeakMemory(process.pid)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            wall = time.monotonic() - start
            watchdog.cancel()
            rss_bytes = memory.stop()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        output = out.read().decode(errors="replace")
    if process.returncode:
        raise base.RigError(f"{' '.join(map(str, argv))}: exit {process.returncode}\n{output[-4000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, rss_bytes, output)


def whole(cost):
    """The figures of a program that does it all."""
    return {"wall_s": cost.wall_s, "returned_s": cost.wall_s, "cpu_s": cost.cpu_s, "rss_mib": cost.rss_bytes / MIB}


def through_mount(bench, engine=None, tree="tree", timeout=3600):
    """cp -r of src/TREE, until all of it is durable. CPU is that of the daemon and of cp together, memory the daemon's."""
    with bench.mount({"writeback": "all", **(engine or {})}) as mount:
        before = mount.usage()
        start = time.monotonic()
        cp = run_measured(["cp", "-r", mount / "src" / tree, mount / "dst/"], timeout=timeout)
        mount.wait(timeout=timeout)
        wall = time.monotonic() - start
        after = mount.usage()
    return {
        "wall_s": wall,
        "returned_s": cp.wall_s,
        "cpu_s": after.cpu_s - before.cpu_s + cp.cpu_s,
        "rss_mib": after.peak_rss_bytes / MIB,
    }


def make_objects(bucket, objects):
    """OBJECTS: {key: size}."""

    def make(item):
        key, size = item
        if size > 64 * MIB:
            bucket.upload(key, base.Pattern(key, size))
        else:
            bucket.put(key, base.Pattern(key, size).read())

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(make, objects.items()))


def verify_objects(bench, objects, program):
    """Both ends hold the same bytes, as far as that costs little: the ETag of an object that was put in one piece is its
    MD5, of the others the size is compared. Then the destination is emptied."""
    have = {o["Key"]: o for o in bench.dst.objects()}
    want = {o["Key"]: o for o in bench.src.objects()}
    wrong = [
        key
        for key, size in objects.items()
        if have.get(key, {}).get("Size") != size
        or ("-" not in want[key]["ETag"] + have[key]["ETag"] and want[key]["ETag"] != have[key]["ETag"])
    ]
    if wrong:
        sys.exit(f"{program}: {len(wrong)} of {len(objects)} objects are missing or differ, the first: {wrong[0]}")
    bench.dst.clear()


class Limit:
    """The limit program: libcurl alone, no file system, no checks. It is not part of this project: its source is named by
    --limit-c or the environment variable LIMIT_C, and where it is not, its lines are left out."""

    @staticmethod
    def add_option(p):
        p.add_argument("--limit-c", default=os.environ.get("LIMIT_C"), help="source of the limit program")

    def __init__(self, bench):
        self.bench = bench
        self.program = None
        source = bench.options.limit_c
        if not source or not os.path.exists(source):
            say(f"without the limit program: {source or 'LIMIT_C'} {'is not there' if source else 'is not set'}")
            return
        self.program = bench.root / "limit"
        base.run("cc", "-O2", "-w", "-o", self.program, source, "-lcurl")

    def copy(self, objects, concurrency):
        """OBJECTS: {key: size}, from src to dst."""
        b = self.bench
        argv = [self.program, f"{b.src_endpoint}/{b.src.name}", f"{b.dst_endpoint}/{b.dst.name}", concurrency]
        return run_measured(map(str, argv), stdin="".join(f"{k} {v}\n" for k, v in objects.items()))


class ForeignMount:
    """Another program's mount, in the foreground, below ROOT."""

    def __init__(self, root, name, argv, env=None):
        self.name = name
        self.mountpoint = root / f"mnt-{name}"
        self.log_file = root / f"{name}.log"
        self.argv = [str(a).replace("MOUNTPOINT", str(self.mountpoint)) for a in argv]
        self.env = env

    def __enter__(self):
        self.mountpoint.mkdir(exist_ok=True)
        with open(self.log_file, "ab") as log:
            self.process = base.spawn(self.argv, log, self.env)
        self.pid = self.process.pid
        try:
            base.wait_until(
                lambda: base.is_mounted(self.mountpoint) or self.process.poll() is not None, 30, f"{self.name} mount"
            )
            if self.process.poll() is not None:
                raise base.RigError(f"{self.name}: {self.log_file.read_text(errors='replace')[-2000:]}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        subprocess.run(["umount", self.mountpoint] if os.geteuid() == 0 else ["fusermount3", "-u", self.mountpoint],
                       capture_output=True, timeout=30)  # fmt: skip
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            base.end_process(self.process)
        if base.is_mounted(self.mountpoint):
            subprocess.run(["umount", "-l", self.mountpoint], capture_output=True, timeout=30)

    def __truediv__(self, path):
        return self.mountpoint / path

    def usage(self):
        return base.usage_of(self.pid)
