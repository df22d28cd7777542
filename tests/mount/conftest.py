# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: two real servers of each kind for the whole run, fresh buckets and a fresh mount for each test.

    def test_something(src, dst, mount):
        src.put("a.txt", b"hello")
        run("cp", mount / "src/a.txt", mount / "dst/")
        mount.wait()
        assert dst.get("a.txt") == b"hello"

Such a test runs once for each kind of server; @pytest.mark.servers("versitygw") limits it. `odd` is a bucket on moto,
which takes every legal key. `make_mount` mounts with settings of the test's own.
"""

import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import rig  # noqa: E402

KINDS = ("versitygw", "minio")


def remove_tree(path):
    """Deletes PATH, unless something is still mounted below it: that would delete objects."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        left = [line.split(" ")[4] for line in f if line.split(" ")[4].startswith(f"{path}/")]
    if left:
        sys.stderr.write(f"still mounted, so {path} stays: {' '.join(left)}\n")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    # Whoever ends the run with TERM gets everything torn down, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if getattr(config.option, "timeout", None) is None:
        # A file system that hangs would hang its tests for ever.
        config.option.timeout = 300
    if not config.option.basetemp:
        # A directory of this run's own: pytest's usual one is tidied up by later runs, through whatever is still mounted.
        config.option.basetemp = tempfile.mkdtemp(prefix="s3bridge-test.")
        config.add_cleanup(lambda: remove_tree(config.option.basetemp))
    config.addinivalue_line("markers", "servers(kind, ...): run the test with these kinds of server only")


def pytest_generate_tests(metafunc):
    if "server_kind" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("servers")
        metafunc.parametrize("server_kind", mark.args if mark else KINDS, scope="session")


@pytest.fixture(scope="session")
def start_server(tmp_path_factory):
    """start_server(kind, name): that server, started at its first use and kept for the run."""
    servers = {}
    scratch = tmp_path_factory.mktemp("servers")

    def start(kind, name):
        if (kind, name) not in servers:
            servers[kind, name] = rig.Server(kind, scratch / f"{kind}-{name}")
            servers[kind, name].start()
        elif servers[kind, name].process is None:
            servers[kind, name].start()
        return servers[kind, name]

    yield start
    for server in servers.values():
        server.stop()


@pytest.fixture
def two_servers(start_server, server_kind):
    return start_server(server_kind, "a"), start_server(server_kind, "b")


@pytest.fixture
def src(two_servers):
    return two_servers[0].make_bucket()


@pytest.fixture
def dst(two_servers):
    return two_servers[1].make_bucket()


@pytest.fixture
def odd(start_server):
    """A bucket on moto: any legal key, but no faithful preconditions and no speed."""
    return start_server("moto", "a").make_bucket()


@pytest.fixture
def own_server(tmp_path):
    """own_server(kind): a server for this test alone, which may be stopped, paused and killed."""
    servers = []

    def start(kind="versitygw"):
        server = rig.Server(kind, tmp_path / f"server{len(servers)}")
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        if server.process:
            server.resume()
        server.stop()


@pytest.fixture
def make_mount(tmp_path):
    """make_mount(buckets, engine={}, options="", **kw): a started rig.Mount, unmounted and checked after the test."""
    mounts = []

    def make(buckets, engine=None, **kw):
        mount = rig.Mount(tmp_path, buckets, engine, name=f"m{len(mounts)}", **kw)
        mounts.append(mount)
        return mount.start()

    yield make
    failures = []
    for mount in reversed(mounts):
        try:
            mount.stop()
        except Exception as e:
            failures.append(e)
    if failures:
        raise failures[0]


@pytest.fixture
def mount(make_mount, src, dst):
    """Both buckets, as src and dst, with the default settings."""
    return make_mount({"src": src, "dst": dst})


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that failed shows the logs of its mounts."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed and "tmp_path" in getattr(item, "funcargs", {}):
        for log in sorted(item.funcargs["tmp_path"].glob("m*.log")):
            report.sections.append((f"s3bridge log {log.name}", log.read_text(errors="replace")[-8000:]))
