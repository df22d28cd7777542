# SPDX-License-Identifier: GPL-3.0-or-later
"""Real S3 servers and real mounts on this machine, for tests, benchmarks and the demo.

    with Server("versitygw", tmp) as server:
        bucket = server.make_bucket("photos")
        bucket.put("a/b.txt", b"hello")
        with Mount(tmp, {"photos": bucket}) as mount:
            (mount / "photos/a/b.txt").read_bytes()

Servers listen on free loopback ports with keys made for the run. Everything that is started here is ended here, by
process id, in every exit path; should this process be killed, the kernel ends what it started.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import boto3
import botocore.config

TOP = pathlib.Path(__file__).resolve().parents[2]
MIB = 1 << 20
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "s3bridge-dev"

# What a sanitizer prints first; a daemon whose log holds one of these has failed, whatever else went well.
SANITIZER_MARKS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:")


class RigError(AssertionError):
    """Something on this machine did not do what the rig needs."""


def s3bridge_binary():
    path = pathlib.Path(os.environ.get("S3BRIDGE") or TOP / "s3bridge").absolute()
    if not os.access(path, os.X_OK):
        raise RigError(f"{path} is missing: build it, or name it in the environment variable S3BRIDGE")
    return path


def find_tool(*names):
    """The first of NAMES that scripts/deps has installed or that is on PATH."""
    for name in names:
        found = shutil.which(name, path=f"{CACHE / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
        if found:
            return found
    raise RigError(f"{names[0]} is missing: run scripts/deps test (or bench)")


def clean_environment(**extra):
    """The environment without anything that would lead an S3 client elsewhere, or through a proxy."""
    env = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("AWS_", "MINIO_", "RCLONE_")) and not k.lower().endswith("_proxy")
    }
    env.update({k: str(v) for k, v in extra.items()})
    return env


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, seconds, what, interval=0.02):
    """Waits for CONDITION() to become true and returns what it said; WHAT names it when it does not."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise RigError(f"{what}: not within {seconds} s")
        time.sleep(interval)


def run(*argv, timeout=120, check=True, cwd=None, env=None, stdin=None):
    """Runs a program to its end; when it fails, the error shows what it said. A str result's bytes stay recoverable."""
    done = subprocess.run(
        [os.fspath(a) for a in argv],
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        cwd=cwd,
        env=env,
        encoding="utf-8",
        errors="surrogateescape",
    )
    if check and done.returncode != 0:
        raise RigError(
            f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    return done


def spawn(argv, log, env=None, cwd=None):
    """Starts a program that the kernel ends when this process dies; its output goes to the open file LOG."""
    setpriv = shutil.which("setpriv")
    prefix = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
    return subprocess.Popen(
        prefix + [os.fspath(a) for a in argv],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )


def end_process(process, grace_s=10):
    """TERM, then KILL. Returns the exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            return process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait(grace_s)


class Pattern:
    """SIZE bytes that differ for every NAME, made as they are read, so that a large object needs no memory."""

    def __init__(self, name, size):
        self.name = name
        self.size = size
        self.left = size
        # One random block with the block's number in front: cheap, and no two blocks of any object are alike.
        self.block = random.Random(name).randbytes(min(size, MIB))
        self.number = 0
        self.pending = b""

    def read(self, n=-1):
        out = []
        want = self.left if n is None or n < 0 else min(n, self.left)
        while want:
            if not self.pending:
                self.pending = (self.number.to_bytes(8, "little") + self.block)[: max(len(self.block), 1)]
                self.number += 1
            piece = self.pending[:want]
            self.pending = self.pending[len(piece) :]
            want -= len(piece)
            self.left -= len(piece)
            out.append(piece)
        return b"".join(out)

    def sha256(self):
        """Of the whole, however much has been read."""
        digest = hashlib.sha256()
        whole = Pattern(self.name, self.size)
        while chunk := whole.read(MIB):
            digest.update(chunk)
        return digest.hexdigest()


def print_table(head, rows):
    """The first column to the left, the others to the right."""
    cells = [tuple(map(str, row)) for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for n, row in enumerate(cells):
        print("  ".join([row[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:])]))
        if n == 0:
            print("  ".join("-" * w for w in widths))


# -------------------------------------------------------------------------------------------------------- servers


def drop_expect(request, **kw):
    """botocore sends `Expect: 100-continue` with an empty body too, and MinIO then stalls that connection for 30 s."""
    request.headers.pop("Expect", None)


class Server:
    """One S3 server (kind: versitygw, minio or moto) with a directory, a port and keys of its own."""

    KINDS = ("versitygw", "minio", "moto")

    def __init__(self, kind, root, access_key=None, secret_key=None):
        if kind not in self.KINDS:
            raise ValueError(kind)
        self.kind = kind
        self.root = pathlib.Path(root)
        self.access_key = access_key or "AK" + secrets.token_hex(9).upper()
        self.secret_key = secret_key or secrets.token_hex(20)
        self.region = "us-east-1"
        self.port = None
        self.process = None
        self._clients = {}

    def __enter__(self):
        if not self.process:
            self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self):
        """Where the server keeps its objects (moto: nowhere but in memory)."""
        return self.root / "data"

    def _command(self, port):
        if self.kind == "versitygw":
            argv = [find_tool("versitygw"), "--port", f"127.0.0.1:{port}", "--keep-alive", "-q", "posix", self.data]
            return argv, {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}
        if self.kind == "minio":
            argv = [find_tool("minio"), "server", "--quiet", "--address", f"127.0.0.1:{port}", self.data]
            env = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key}
            return argv, {**env, "MINIO_SITE_REGION": self.region, "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], {}

    def start(self):
        """Starts on a free port; a later start() keeps the port, so that the endpoint stays what it was."""
        self.data.mkdir(parents=True, exist_ok=True)
        for attempt in range(5):
            # Another program can take a free port before the server does.
            port = self.port or free_port()
            argv, env = self._command(port)
            with open(self.root / "server.log", "ab") as log:
                self.process = spawn(argv, log, clean_environment(**env), cwd=self.root)
            if self._wait_ready(port):
                self.port = port
                return self
            self.stop()
            time.sleep(0.2)
        raise RigError(f"{self.kind} does not start:\n{self.log[-2000:]}")

    def _wait_ready(self, port, seconds=30):
        deadline = time.monotonic() + seconds
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                opener.open(f"http://127.0.0.1:{port}/", timeout=2).close()
                return True
            except urllib.error.HTTPError as e:
                if e.code != 503:  # MinIO: not initialised yet
                    return True
            except OSError:
                pass
            time.sleep(0.05)
        return False

    def stop(self):
        if self.process:
            end_process(self.process)
            self.process = None

    def kill(self):
        """As a power cut would: no goodbye on any connection's data."""
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def pause(self):
        """The server stops answering, with every connection left open."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)

    @property
    def log(self):
        try:
            return (self.root / "server.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def client(self, endpoint=None):
        """A boto3 client; one for each endpoint is kept."""
        endpoint = endpoint or self.endpoint
        if endpoint not in self._clients:
            session = boto3.session.Session(
                aws_access_key_id=self.access_key, aws_secret_access_key=self.secret_key, region_name=self.region
            )
            config = botocore.config.Config(
                s3={"addressing_style": "path"},
                retries={"max_attempts": 3, "mode": "standard"},
                max_pool_connections=32,
                proxies={},
            )
            client = session.client("s3", endpoint_url=endpoint, config=config)
            client.meta.events.register("before-send.s3", drop_expect)
            self._clients[endpoint] = client
        return self._clients[endpoint]

    def make_bucket(self, name=None):
        name = name or "b" + secrets.token_hex(6)
        self.client().create_bucket(Bucket=name)
        return Bucket(self, name)


class Bucket:
    """A bucket seen by an independent client. `endpoint` may lead through a proxy for the mount; this client never does."""

    def __init__(self, server, name, endpoint=None, prefix=""):
        self.server = server
        self.name = name
        self.endpoint = endpoint or server.endpoint
        self.prefix = prefix

    @property
    def client(self):
        return self.server.client()

    def via(self, endpoint):
        """The same bucket, which a mount reaches by another address (a proxy)."""
        return Bucket(self.server, self.name, endpoint, self.prefix)

    def put(self, key, body=b"", **kw):
        if isinstance(body, str):
            body = body.encode()
        return self.client.put_object(Bucket=self.name, Key=key, Body=body, **kw)

    def upload(self, key, fileobj, **kw):
        """Any size, in parts."""
        self.client.upload_fileobj(fileobj, self.name, key, **kw)

    def get(self, key, **kw):
        return self.client.get_object(Bucket=self.name, Key=key, **kw)["Body"].read()

    def sha256(self, key):
        digest = hashlib.sha256()
        for chunk in self.client.get_object(Bucket=self.name, Key=key)["Body"].iter_chunks(1 << 20):
            digest.update(chunk)
        return digest.hexdigest()

    def head(self, key):
        return self.client.head_object(Bucket=self.name, Key=key)

    def exists(self, key):
        try:
            self.head(key)
            return True
        except self.client.exceptions.ClientError as e:
            if e.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise

    def meta(self, key):
        """User metadata, names in lower case."""
        return {k.lower(): v for k, v in self.head(key)["Metadata"].items()}

    def objects(self, prefix=""):
        """Every object as the listing shows it, in key order."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [item for page in pages for item in page.get("Contents", [])]

    def keys(self, prefix=""):
        return [item["Key"] for item in self.objects(prefix)]

    def files(self, prefix=""):
        """The keys that are no directory markers."""
        return [k for k in self.keys(prefix) if not k.endswith("/")]

    def sizes(self, prefix=""):
        return {item["Key"]: item["Size"] for item in self.objects(prefix)}

    def contents(self, prefix=""):
        """{key: sha256} of every object that is no directory marker."""
        return {k: self.sha256(k) for k in self.files(prefix)}

    def uploads(self):
        """Unfinished multipart uploads, which cost money and hide from listings."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name)
        return [(u["Key"], u["UploadId"]) for page in pages for u in page.get("Uploads", [])]

    def delete(self, key):
        self.client.delete_object(Bucket=self.name, Key=key)

    def clear(self):
        keys = self.keys()
        # Deepest first: a server that keeps keys as files removes a directory only when it is empty.
        keys.sort(key=lambda k: (-k.count("/"), k.endswith("/")))
        for i in range(0, len(keys), 1000):
            batch = [{"Key": k} for k in keys[i : i + 1000]]
            self.client.delete_objects(Bucket=self.name, Delete={"Objects": batch, "Quiet": True})

    def config(self):
        """The section of this bucket in a configuration file."""
        section = {
            "bucket": self.name,
            "endpoint": self.endpoint,
            "region": self.server.region,
            "access_key_id": self.server.access_key,
            "secret_access_key": self.server.secret_key,
            "path_style": "true",
        }
        if self.prefix:
            section["prefix"] = self.prefix
        return section


# ---------------------------------------------------------------------------------------------------------- links


class Toxiproxy:
    """Delays, narrows and breaks connections, as what lies between here and a distant server does."""

    def __init__(self, root):
        tool = find_tool("toxiproxy-server")
        for _ in range(5):
            self.port = free_port()
            with open(pathlib.Path(root) / "toxiproxy.log", "ab") as log:
                self.process = spawn(
                    [tool, "-host", "127.0.0.1", "-port", str(self.port)], log, clean_environment(LOG_LEVEL="error")
                )
            if self._wait_ready():
                return
            self.stop()
        raise RigError("toxiproxy-server does not start")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def _wait_ready(self):
        for _ in range(200):
            if self.process.poll() is not None:
                return False
            try:
                self.call("GET", "/proxies")
                return True
            except OSError:
                time.sleep(0.05)
        return False

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method, data=json.dumps(body).encode() if body else None
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def add(self, endpoint):
        """A new way to ENDPOINT."""
        return Link(self, endpoint)

    def stop(self):
        end_process(self.process)


class Link:
    """One way to one server; `endpoint` is where it begins."""

    def __init__(self, proxy, endpoint):
        self.proxy = proxy
        self.name = f"p{secrets.token_hex(6)}"
        self.toxics = set()
        body = {"name": self.name, "listen": "127.0.0.1:0", "upstream": endpoint.removeprefix("http://")}
        self.endpoint = f"http://{proxy.call('POST', '/proxies', body)['listen']}"

    def set(self, rtt_ms=0, mb_per_s=0):
        """Of each connection, those that are open included."""
        for stream in ("upstream", "downstream"):
            self.toxic("latency", stream, latency=rtt_ms // 2)
            if mb_per_s:
                self.toxic("bandwidth", stream, rate=int(mb_per_s * 1000))
            else:
                self.heal("bandwidth", stream)

    def toxic(self, kind, stream, **attributes):
        """Adds the toxic, or changes the one of that kind."""
        name = f"{kind}-{stream}"
        path = f"/proxies/{self.name}/toxics"
        if name in self.toxics:
            self.proxy.call("POST", f"{path}/{name}", {"attributes": attributes})
        else:
            body = {"name": name, "type": kind, "stream": stream, "attributes": attributes}
            self.proxy.call("POST", path, body)
            self.toxics.add(name)

    def heal(self, kind, stream):
        name = f"{kind}-{stream}"
        if name in self.toxics:
            self.proxy.call("DELETE", f"/proxies/{self.name}/toxics/{name}")
            self.toxics.remove(name)


# --------------------------------------------------------------------------------------------------------- mounts


def is_mounted(path):
    with open("/proc/self/mountinfo", "rb") as f:
        # Blanks in names are written as octal escapes.
        targets = [line.split(b" ")[4].decode("unicode_escape").encode("latin-1") for line in f]
    return os.fsencode(path) in targets


def process_tree(pid):
    """PID and everything below it that lives."""
    pids = []
    todo = [pid]
    while todo:
        p = todo.pop()
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/children") as f:
                    todo += [int(child) for child in f.read().split()]
            pids.append(p)
        except OSError:
            pass
    return pids


class Mount:
    """A mounted s3bridge.

    BUCKETS maps the directory name in the mount to a Bucket or to a dict of configuration lines; ENGINE holds lines of
    the [s3bridge] section; OPTIONS the text after -o. In the foreground (the default) the daemon is our child and its
    log is in `log`; with foreground=False it goes to the background as a user's does.

    Leaving the `with` block unmounts and fails when the daemon ended badly, when a sanitizer spoke, or when the log
    holds a secret. LIMIT_S is a watchdog: whoever hangs in the mount gets an error instead, because the daemon is killed.
    """

    def __init__(
        self, root, buckets, engine=None, options="", foreground=True, env=None, binary=None, limit_s=600, name="m"
    ):
        self.root = pathlib.Path(root)
        self.buckets = buckets
        self.engine = dict(engine or {})
        self.options = options
        self.foreground = foreground
        self.env = dict(env or {})
        self.binary = pathlib.Path(binary) if binary else s3bridge_binary()
        self.limit_s = limit_s
        self.mountpoint = self.root / name
        self.config_file = self.root / f"{name}.conf"
        self.log_file = self.root / f"{name}.log"
        if not foreground:
            self.engine.setdefault("log_file", self.log_file)  # else it goes to syslog
        self.pid = None
        self.process = None
        self.exit_status = None
        self._watchdog = None

    # ---- paths

    def __truediv__(self, path):
        return self.mountpoint / path

    def __fspath__(self):
        return os.fspath(self.mountpoint)

    # ---- life

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, exc, trace):
        if kind:
            # What went wrong is already known; the log often says why.
            self.abandon()
            sys.stderr.write(f"---- the log of {self.mountpoint}\n{self.log[-8000:]}\n")
        else:
            self.stop()

    def write_config(self):
        lines = []
        sections = {**self.buckets, **({"s3bridge": self.engine} if self.engine else {})}
        for name, section in sections.items():
            values = section.config() if isinstance(section, Bucket) else section
            lines += [f"[{name}]"] + [f"{k} = {v}" for k, v in values.items()] + [""]
        self.config_file.touch(mode=0o600)
        self.config_file.write_text("\n".join(lines))

    def secrets(self):
        found = set()
        for section in self.buckets.values():
            values = section.config() if isinstance(section, Bucket) else section
            found |= {v for k, v in values.items() if k in ("secret_access_key", "session_token") and len(v) >= 16}
        return found

    def environment(self):
        state = self.root / "state"
        state.mkdir(exist_ok=True)
        return clean_environment(
            HOME=self.root,
            XDG_STATE_HOME=state,
            XDG_CACHE_HOME=state,
            ASAN_OPTIONS="detect_leaks=1:exitcode=99:detect_stack_use_after_return=0",
            UBSAN_OPTIONS="print_stacktrace=1",
            TSAN_OPTIONS="exitcode=99",
            **self.env,
        )

    def command(self):
        argv = [self.binary, "mount"]
        if self.foreground:
            argv.append("-f")
        argv += ["-c", self.config_file]
        if self.options:
            argv += ["-o", self.options]
        return argv + [self.mountpoint]

    def start(self):
        self.mountpoint.mkdir(parents=True, exist_ok=True)
        self.write_config()
        try:
            with open(self.log_file, "ab") as log:
                self.process = spawn(self.command(), log, self.environment())
            if self.foreground:
                self.pid = self.process.pid
                wait_until(
                    lambda: is_mounted(self.mountpoint) or self.process.poll() is not None, 30, "s3bridge mount"
                )
            else:
                self.process.wait(30)
            if not is_mounted(self.mountpoint):
                raise RigError(f"s3bridge mount: exit {self.process.poll()}\n{self.log[-4000:]}")
            os.stat(self.mountpoint)  # answers only when the daemon does
            if not self.foreground:
                self.pid = self.status()["pid"]
        except BaseException:
            self.abandon()
            raise
        self._watchdog = threading.Timer(self.limit_s, self._bark)
        self._watchdog.daemon = True
        self._watchdog.start()
        return self

    def _bark(self):
        sys.stderr.write(f"watchdog: {self.mountpoint} was mounted for {self.limit_s} s: killing its daemon\n")
        self.kill()

    def alive(self):
        if self.foreground:
            return self.process is not None and self.process.poll() is None
        return self.pid is not None and os.path.exists(f"/proc/{self.pid}")

    def kill(self, sig=signal.SIGKILL):
        """Ends the daemon the hard way. What is mounted stays behind, dead, until abandon()."""
        for pid in process_tree(self.pid) if self.pid else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)

    def wait_exit(self, seconds=60):
        """Waits until the daemon has gone; its exit status, None for one in the background."""
        if self.foreground:
            try:
                self.exit_status = self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise RigError(f"the daemon (pid {self.pid}) does not end within {seconds} s") from None
        else:
            wait_until(lambda: not self.alive(), seconds, f"the end of the daemon (pid {self.pid})")
        self.pid = None
        return self.exit_status

    def unmount(self, timeout=120):
        """As a user does; returns once the daemon has gone."""
        self.command_line("unmount", self.mountpoint, timeout=timeout)
        return self.wait_exit(timeout)

    def stop(self, timeout=120):
        """Unmounts (if that has not happened) and checks how the daemon ended."""
        try:
            if is_mounted(self.mountpoint) and self.alive():
                self.unmount(timeout)
            elif self.pid:
                self.wait_exit(timeout)
        except BaseException:
            sys.stderr.write(f"---- the log of {self.mountpoint}\n{self.log[-8000:]}\n")
            raise
        finally:
            self.abandon()
        self.check_log()
        if self.exit_status:
            raise RigError(f"the daemon ended with {self.exit_status}:\n{self.log[-4000:]}")

    def abandon(self):
        """Whatever the state is: afterwards nothing is mounted and nothing runs."""
        if self._watchdog:
            self._watchdog.cancel()
            self._watchdog = None
        if self.pid and self.alive():
            # A stuck daemon would hang the unmount, so it goes first.
            self.kill(signal.SIGTERM)
            with contextlib.suppress(Exception):
                self.wait_exit(5)
            if self.pid:
                self.kill()
                with contextlib.suppress(Exception):
                    self.wait_exit(5)
        if is_mounted(self.mountpoint):
            subprocess.run(["umount", "-l", os.fspath(self.mountpoint)], capture_output=True, timeout=30)
        if is_mounted(self.mountpoint):
            subprocess.run([find_tool("fusermount3"), "-uz", os.fspath(self.mountpoint)], capture_output=True, timeout=30)

    # ---- what it says

    @property
    def log(self):
        try:
            return self.log_file.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def check_log(self):
        text = self.log
        for mark in SANITIZER_MARKS:
            if mark in text:
                raise RigError(f"the daemon's log:\n{text[max(0, text.index(mark) - 200):][:6000]}")
        if any(secret in text for secret in self.secrets()):
            raise RigError("the daemon's log holds a secret")

    def command_line(self, *argv, timeout=120, check=True):
        """Runs `s3bridge ARGV`."""
        return run(self.binary, *argv, timeout=timeout, check=check, env=self.environment())

    def wait(self, path="", timeout=120, check=True):
        """Until everything below PATH is durable."""
        return self.command_line(
            "wait", "--timeout", str(timeout), self.mountpoint / path, timeout=timeout + 10, check=check
        )

    def status(self):
        return json.loads(self.command_line("status", "--json", self.mountpoint).stdout)

    # ---- what it costs

    def usage(self):
        return usage_of(self.pid)


class Usage:
    """What a process tree has used so far."""

    def __init__(self, cpu_s=0.0, peak_rss_bytes=0, written_bytes=0):
        self.cpu_s = cpu_s
        self.peak_rss_bytes = peak_rss_bytes
        self.written_bytes = written_bytes


def usage_of(pid):
    """CPU seconds, peak resident memory, and bytes caused to be written to a disk, of PID and what lives below it."""
    total = Usage()
    tick = os.sysconf("SC_CLK_TCK")
    for p in process_tree(pid):
        try:
            stat = pathlib.Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split()
            status = pathlib.Path(f"/proc/{p}/status").read_text()
            io = pathlib.Path(f"/proc/{p}/io").read_text()
        except OSError:
            continue
        total.cpu_s += (int(stat[11]) + int(stat[12])) / tick
        total.peak_rss_bytes += next(
            (int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0
        )
        total.written_bytes += next(
            (int(line.split()[1]) for line in io.splitlines() if line.startswith("write_bytes:")), 0
        )
    return total
