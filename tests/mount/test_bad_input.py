# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong is said in one clear sentence that names the thing, and leaves nothing behind: no mount, no process."""

import errno
import os
import pathlib
import re
import secrets
import socket

import pytest
from fakes import Certificate, Fake, Proxy, s3_error
from rig import clean_environment, free_port, is_mounted, run, s3bridge_binary

FAILED, USAGE = 1, 2


class Shell:
    """Runs s3bridge in DIRECTORY, which holds an empty directory `mnt` and is its home."""

    def __init__(self, directory):
        self.directory = directory
        self.point = directory / "mnt"
        self.point.mkdir()

    def __call__(self, *argv, env=None, timeout=60):
        env = {"HOME": self.directory, "ASAN_OPTIONS": "exitcode=99", "UBSAN_OPTIONS": "halt_on_error=1", **(env or {})}
        return run(
            s3bridge_binary(), *argv, check=False, timeout=timeout, cwd=self.directory, env=clean_environment(**env)
        )

    def mount(self, *argv, **kw):
        return self("mount", *argv, self.point, **kw)

    def config(self, text, mode=0o600):
        path = self.directory / "buckets.ini"
        path.write_text(text)
        path.chmod(mode)
        return path

    def running(self):
        """The processes that name the directory on their command line."""
        found = []
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.fsencode(self.directory) in (proc / "cmdline").read_bytes():
                    found.append(int(proc.name))
            except OSError:
                pass
        return found

    def refused(self, done, code, *words, sentences=1):
        """DONE ended with CODE and SENTENCES lines, in which each of WORDS (regular expressions) stands."""
        lines = done.stderr.splitlines()
        if code == USAGE:
            assert re.fullmatch(r'Try "s3bridge( \w+)? ?--help"\.', lines.pop()), done.stderr
        assert (done.returncode, len(lines)) == (code, sentences), done.stderr
        assert done.stdout == ""
        for line in lines:
            assert line.startswith("s3bridge: ") and len(line) < 600, line
        for word in words:
            assert re.search(word, done.stderr), f"{word!r} is not in: {done.stderr}"
        assert not is_mounted(self.point)
        assert self.running() == []


@pytest.fixture
def shell(tmp_path):
    shell = Shell(tmp_path)
    yield shell
    if is_mounted(shell.point):  # it should not have been, and the test has said so
        shell("unmount", shell.point)


def sections(**buckets):
    text = ""
    for name, bucket in buckets.items():
        values = bucket if isinstance(bucket, dict) else bucket.config()
        text += f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in values.items())
    return text


def changed(source, **kw):
    return {**source.config(), **kw}


# ------------------------------------------------------------------------------------------------- the command line

BAD_COMMANDS = [
    ([], "no command given"),
    (["wombat"], 'unknown command "wombat"'),
    (["--wombat"], 'unknown option "--wombat"'),
    (["mount", "-Z", "a=s3://b", "mnt"], "unknown option -Z"),
    (["mount", "--wombat", "a=s3://b", "mnt"], "unknown option --wombat"),
    (["mount", "-c"], "option -c needs a value"),
    (["mount"], "no mount point given"),
    (["mount", "a=s3://b"], "no mount point given"),
    (["mount", "wombat", "mnt"], '"wombat" is no bucket: write NAME=s3://'),
    (["mount", "a=s3://", "mnt"], "no bucket named"),
    (["mount", "a/b=s3://c", "mnt"], '"a/b" cannot be the name of a directory'),
    (["mount", "..=s3://c", "mnt"], r'"\.\." cannot be the name of a directory'),
    (["mount", ".s3bridge=s3://c", "mnt"], r'the name "\.s3bridge" is taken by the mount'),
    (["mount", "n" * 256 + "=s3://c", "mnt"], "cannot be the name of a directory"),
    (["mount", "a=s3://b", "a=s3://c", "mnt"], 'the name "a" is given twice'),
    (["mount", "a=s3://b?wombat=1", "mnt"], 'unknown key "wombat" in a'),
    (["mount", "a=s3://b?regon=x", "mnt"], 'did you mean "region"'),
    (["mount", "a=s3://b?region", "mnt"], "key=value"),
    (["mount", "a=s3://b%zz", "mnt"], "%25"),
    (["mount", "a=s3://b", ""], "empty name"),
    (["mount", "-o", "wombat", "a=s3://b", "mnt"], 'unknown mount option "wombat"'),
    (["mount", "-o", "writebak=all", "a=s3://b", "mnt"], 'did you mean "writeback"'),
    (["mount", "-o", "writeback=maybe", "a=s3://b", "mnt"], 'writeback is "maybe": expected none or all'),
    (["mount", "-o", "memory_limit=1M", "a=s3://b", "mnt"], 'memory_limit is "1M": expected a size of at least'),
    (["mount", "-o", "memory_limit=lots", "a=s3://b", "mnt"], 'memory_limit is "lots"'),
    (["mount", "-o", "memory_limit=-1", "a=s3://b", "mnt"], 'memory_limit is "-1"'),
    (["mount", "-o", "memory_limit=99999999T", "a=s3://b", "mnt"], 'memory_limit is "99999999T"'),
    (["mount", "-o", "part_size=1M", "a=s3://b", "mnt"], 'part_size is "1M": expected a size from 5MiB to 5GiB'),
    (["mount", "-o", "chunk_workers=0", "a=s3://b", "mnt"], 'chunk_workers is "0": expected a number from 1'),
    (["mount", "-o", "metadata_ttl=soon", "a=s3://b", "mnt"], 'metadata_ttl is "soon": expected a number of seconds'),
    (["mount", "-o", "umask=9", "a=s3://b", "mnt"], 'umask is "9": expected an octal mode'),
    (["mount", "-o", "uid", "a=s3://b", "mnt"], "uid needs a value"),
    (["mount", "-o", "uid=no-such-user", "a=s3://b", "mnt"], 'uid is "no-such-user"'),
    (["wait"], "expected one path"),
    (["wait", "--timeout", "x", "mnt"], "--timeout x: expected a number of seconds"),
    (["wait", "--timeout", "0", "mnt"], "--timeout 0: expected a number of seconds"),
    (["wait", "--timeout"], "option --timeout needs a value"),
    (["status", "a", "b"], "expected one mount point"),
    (["status", "--wombat", "mnt"], "unknown option --wombat"),
    (["unmount"], "expected one mount point"),
]


@pytest.mark.parametrize(("argv", "words"), BAD_COMMANDS, ids=[" ".join(argv)[:60] for argv, _ in BAD_COMMANDS])
def test_a_wrong_command_line_is_explained(shell, argv, words):
    shell.refused(shell(*argv), USAGE, words)


@pytest.mark.parametrize("name", ["secret_access_key", "session_token"])
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(shell, name):
    secret = secrets.token_hex(16)
    done = shell.mount(f"a=s3://b?{name}={secret}")
    shell.refused(done, USAGE, name, "does not belong on a command line", "config file")
    assert secret not in done.stderr


def test_a_password_in_an_endpoint_is_refused_and_not_repeated(shell):
    secret = secrets.token_hex(16)
    done = shell.mount(f"a=s3://b?endpoint=https://me:{secret}@s3.example.com")
    shell.refused(done, FAILED, '"a"', "must not contain a user or password")
    assert secret not in done.stderr


@pytest.mark.parametrize("command", ["wait", "status", "unmount"])
def test_a_path_outside_of_every_mount(shell, command):
    shell.refused(shell(command, shell.point), FAILED, f"{shell.point} is not inside an s3bridge mount")


def test_no_bucket_at_all(shell):
    shell.refused(shell.mount(), FAILED, "no bucket given", "NAME=s3://BUCKET")
    shell.refused(shell.mount("-c", shell.config("[s3bridge]\n")), FAILED, "no bucket given")


# -------------------------------------------------------------------------------------------------- the mount point


def test_the_mount_point_is_missing(shell):
    shell.refused(shell("mount", "a=s3://b", "nowhere"), FAILED, f"{shell.directory}/nowhere does not exist")


def test_the_mount_point_is_a_file(shell):
    file = shell.directory / "file"
    file.touch()
    shell.refused(shell("mount", "a=s3://b", file), FAILED, f"{file} is not a directory")
    shell.refused(shell("mount", "a=s3://b", file / "below"), FAILED, f"{file}/below: Not a directory")


@pytest.mark.servers("versitygw")
def test_the_mount_point_is_in_use_by_a_mount(src, make_mount, shell):
    src.put("a", b"1")
    mount = make_mount({"src": src})
    done = shell("mount", f"x=s3://{src.name}?endpoint={src.endpoint}", mount.mountpoint)
    assert done.returncode == FAILED and len(done.stderr.splitlines()) == 1, done.stderr
    assert f"{mount.mountpoint} is already mounted" in done.stderr and "s3bridge unmount" in done.stderr
    assert (mount / "src/a").read_bytes() == b"1"


@pytest.mark.servers("versitygw")
def test_what_a_killed_daemon_left_behind_is_named(src, make_mount, shell):
    mount = make_mount({"src": src})
    mount.kill()
    mount.process.wait(10)
    try:
        again = shell("mount", f"x=s3://{src.name}?endpoint={src.endpoint}", mount.mountpoint)
        assert again.returncode == FAILED and len(again.stderr.splitlines()) == 1, again.stderr
        assert "dead mount" in again.stderr and f'"s3bridge unmount {mount.mountpoint}"' in again.stderr
        asked = shell("status", mount.mountpoint)
        assert asked.returncode == FAILED and len(asked.stderr.splitlines()) == 1, asked.stderr
        assert "is gone" in asked.stderr
        ended = shell("unmount", mount.mountpoint)
        assert ended.returncode == FAILED and len(ended.stderr.splitlines()) == 1, ended.stderr
        assert "what it had not stored is lost" in ended.stderr
        assert not is_mounted(mount.mountpoint)
    finally:
        mount.exit_status = 0
        mount.pid = None
        mount.abandon()


# -------------------------------------------------------------------------------------------------- the config file

PAIR = "access_key_id = AKID\nsecret_access_key = SECRET\n"
BAD_CONFIGS = {
    "unknown key": ("[a]\nbucket = b\n\nwombat = 1\n", r':4: unknown key "wombat" in \[a\]'),
    "misspelt key": ("[a]\nbucket = b\nendpont = x\n", ':3: unknown key "endpont".*did you mean "endpoint"'),
    "unknown engine key": ("[s3bridge]\nwombat = 1\n", r':2: unknown key "wombat" in \[s3bridge\]'),
    "bucket key in the engine": ("[s3bridge]\nbucket = b\n", r':2: unknown key "bucket" in \[s3bridge\]'),
    "no section": ("bucket = b\n", ":1: a key before the first section"),
    "no value": ("[a]\nbucket\n", ':2: expected "key = value"'),
    "half a section": ("[a\nbucket = b\n", r":1: a section is written as \[NAME\]"),
    "empty bucket": ("[a]\nbucket =\n", ':2: bucket in .a. is "": expected the name of a bucket'),
    "no bucket": ("[a]\nregion = x\n[b]\nbucket = c\n", r'\[a\] does not say which bucket'),
    "same name": ("[a]\nbucket = b\n[a]\nbucket = c\n", ':3: the name "a" is given twice'),
    "slash": ("[a/b]\nbucket = c\n", ':1: "a/b" cannot be the name of a directory'),
    "size": ("[s3bridge]\nmemory_limit = 3 apples\n", ':2: memory_limit in .s3bridge. is "3 apples": expected a size'),
    "small size": ("[s3bridge]\npart_size = 1K\n", ':2: part_size in .s3bridge. is "1K": expected a size'),
    "yes or no": ("[a]\nbucket = b\nreadonly = perhaps\n", ':3: readonly in .a. is "perhaps": expected yes or no'),
    "half a pair": ("[a]\nbucket = b\naccess_key_id = AKID\n", "a has an access_key_id but no secret_access_key"),
    "other half": ("[a]\nbucket = b\nsecret_access_key = S\n", "a has a secret_access_key but no access_key_id"),
    "pair and profile": (f"[a]\nbucket = b\nprofile = p\n{PAIR}", "a has both a profile and an access_key_id"),
    "no such profile": ("[a]\nbucket = b\nprofile = wombat\n", 'a: profile "wombat" is neither in'),
    "endpoint": (f"[a]\nbucket = b\nendpoint = localhost:9000\n{PAIR}", '"a".*must begin with http:// or https://'),
    "port": (f"[a]\nbucket = b\nendpoint = http://localhost:x\n{PAIR}", '"a".*port that is not a number'),
    "region": (f"[a]\nbucket = b\nregion = over there\n{PAIR}", '"a": region "over there"'),
    "ca_file": (f"[a]\nbucket = b\nca_file = /no/such.pem\n{PAIR}", "cannot read ca_file /no/such.pem: No such file"),
    "binary": ("[a]\nbucket = b\0c\n", ":2: a zero byte"),
}


@pytest.mark.parametrize(("text", "words"), BAD_CONFIGS.values(), ids=BAD_CONFIGS.keys())
def test_a_wrong_config_file_is_explained(shell, text, words):
    shell.refused(shell.mount("-c", shell.config(text)), FAILED, words)


def test_the_config_file_cannot_be_read(shell):
    shell.refused(shell.mount("-c", "none.ini"), FAILED, "cannot read the config file none.ini: No such file")
    shell.refused(shell.mount("-c", "mnt"), FAILED, "the config file mnt is a directory")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_secrets_that_others_can_read_are_refused(shell, mode):
    path = shell.config("[a]\nbucket = b\naccess_key_id = A\nsecret_access_key = S\n", mode)
    shell.refused(shell.mount("-c", path), FAILED, f"{path} holds a secret_access_key", f"chmod 600 {path}")


@pytest.mark.parametrize("file", ["credentials", "config"])
def test_aws_files_that_others_can_read_are_refused(shell, file):
    path = shell.directory / ".aws" / file
    path.parent.mkdir()
    path.write_text("[default]\naws_access_key_id = A\naws_secret_access_key = S\n")
    path.chmod(0o644)
    shell.refused(shell.mount("a=s3://b"), FAILED, f"a: {path} holds a secret access key", f"chmod 600 {path}")


def test_half_a_pair_in_the_environment(shell):
    done = shell.mount("a=s3://b", env={"AWS_ACCESS_KEY_ID": "AKID"})
    shell.refused(done, FAILED, "a: AWS_ACCESS_KEY_ID is set.*AWS_SECRET_ACCESS_KEY is not")


def test_half_a_pair_in_a_profile(shell):
    path = shell.directory / ".aws/credentials"
    path.parent.mkdir()
    path.write_text("[p]\naws_access_key_id = A\n")
    shell.refused(shell.mount("a=s3://b?profile=p"), FAILED, 'a: profile "p".*has aws_access_key_id but no')


def test_the_log_file_cannot_be_opened(shell):
    done = shell.mount("-o", "log_file=/no/such/log", "a=s3://b")
    shell.refused(done, FAILED, "cannot open the log file /no/such/log: No such file")


# ------------------------------------------------------------------------------------------------------ the servers


@pytest.mark.parametrize("foreground", [[], ["-f"]], ids=["background", "foreground"])
def test_a_missing_bucket(src, shell, foreground):
    config = shell.config(sections(a=changed(src, bucket="no-such-bucket")))
    done = shell.mount(*foreground, "-c", config)
    shell.refused(done, FAILED, f'bucket "a" \\(no-such-bucket at {src.endpoint}\\)', "no such bucket")


def test_a_wrong_secret_key(src, shell):
    config = shell.config(sections(a=changed(src, secret_access_key="wrong" * 8)))
    done = shell.mount("-c", config)
    shell.refused(done, FAILED, f'bucket "a" .*{src.endpoint}', "credentials refused", "check .*secret key")
    assert "wrong" * 8 not in done.stderr


def test_a_wrong_key_id(src, shell):
    config = shell.config(sections(a=changed(src, access_key_id="AKWRONG")))
    shell.refused(shell.mount("-c", config), FAILED, 'bucket "a"', "credentials refused", "check the access key")


def test_no_keys_for_a_private_bucket(src, shell):
    done = shell.mount(f"a=s3://{src.name}?endpoint={src.endpoint}")
    shell.refused(done, FAILED, 'bucket "a"', "access denied", "no keys were found")


@pytest.mark.servers("versitygw")
def test_one_sentence_for_each_bucket_that_fails(src, shell):
    config = shell.config(
        sections(
            good=src,
            missing=changed(src, bucket="no-such-bucket"),
            denied=changed(src, access_key_id="AKWRONG"),
        )
    )
    done = shell.mount("-c", config)
    shell.refused(done, FAILED, 'bucket "missing"', 'bucket "denied"', sentences=2)
    assert '"good"' not in done.stderr


def test_nothing_listens_at_the_endpoint(shell):
    done = shell.mount(f"a=s3://b?endpoint=http://127.0.0.1:{free_port()}")
    shell.refused(done, FAILED, 'bucket "a"', "refused connection", "check that the server runs")


def test_the_endpoint_takes_connections_and_is_silent(shell):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = shell.mount(f"a=s3://b?endpoint={endpoint}")
    shell.refused(done, FAILED, f'bucket "a" \\(b at {endpoint}\\)', "no answer in time", "check the endpoint")


def test_a_host_name_that_nobody_knows(shell):
    done = shell.mount("a=s3://b?endpoint=http://no-such-host.invalid")
    shell.refused(done, FAILED, 'bucket "a"', "no-such-host.invalid", "not resolved", "check the endpoint")


@pytest.mark.parametrize("status", [200, 404, 403, 500])
def test_the_endpoint_is_a_web_server(shell, status):
    page = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body><p>Hello<br></body></html>"
    with Fake(lambda request: (status, {"Content-Type": "text/html"}, page)) as fake:
        done = shell.mount(f"a=s3://b?endpoint={fake.endpoint}")
    shell.refused(done, FAILED, f'bucket "a" .*{fake.endpoint}', "no S3|not S3|not an S3")
    assert "<" not in done.stderr


def test_the_wrong_region_is_named_with_the_right_one(shell):
    def moved(request):
        headers = {"x-amz-bucket-region": "eu-central-1", "Content-Type": "application/xml"}
        return 301, headers, s3_error("PermanentRedirect", "elsewhere")

    with Fake(moved) as fake:
        done = shell.mount(f"a=s3://b?endpoint={fake.endpoint}")
    shell.refused(done, FAILED, 'bucket "a"', "eu-central-1", "region")


def test_a_malformed_authorization_names_the_right_region(shell):
    def malformed(request):
        body = s3_error("AuthorizationHeaderMalformed", "expecting 'eu-west-3'", "<Region>eu-west-3</Region>")
        return 400, {"Content-Type": "application/xml"}, body

    with Fake(malformed) as fake:
        done = shell.mount(f"a=s3://b?endpoint={fake.endpoint}")
    shell.refused(done, FAILED, 'bucket "a"', "eu-west-3", "set region")


@pytest.mark.servers("minio")
def test_a_real_server_says_what_its_region_is(src, shell):
    done = shell.mount("-c", shell.config(sections(a=changed(src, region="eu-north-1"))))
    shell.refused(done, FAILED, 'bucket "a"', "us-east-1", "region")


@pytest.mark.servers("versitygw")
def test_a_certificate_that_nobody_signed(src, shell):
    certificate = Certificate(shell.directory)
    with Proxy(src.server, tls=certificate) as proxy:
        config = shell.config(sections(a=changed(src, endpoint=proxy.endpoint)))
        done = shell.mount("-c", config)
        shell.refused(done, FAILED, f'bucket "a" .*{proxy.endpoint}', "certificate", "ca_file")


@pytest.mark.servers("versitygw")
def test_ca_file_makes_a_private_certificate_good(src, make_mount, tmp_path):
    src.put("a", b"through TLS")
    certificate = Certificate(tmp_path)
    with Proxy(src.server, tls=certificate) as proxy:
        mount = make_mount({"src": changed(src, endpoint=proxy.endpoint, ca_file=certificate.certificate)})
        assert (mount / "src/a").read_bytes() == b"through TLS"
        run("cp", mount / "src/a", mount / "src/b")
        mount.stop()
    assert src.get("b") == b"through TLS"


@pytest.mark.servers("versitygw")
def test_https_at_a_server_that_speaks_http(src, shell):
    config = shell.config(sections(a=changed(src, endpoint=src.endpoint.replace("http:", "https:"))))
    shell.refused(shell.mount("-c", config), FAILED, 'bucket "a"', "TLS", "http://")


def test_an_expired_clock_is_said(shell):
    with Fake(lambda request: (403, {"Content-Type": "application/xml"}, s3_error("RequestTimeTooSkewed"))) as fake:
        done = shell.mount(f"a=s3://b?endpoint={fake.endpoint}")
    shell.refused(done, FAILED, 'bucket "a"', "set the clock")


# ------------------------------------------------------------------------------------------------ in a running mount


def failure(action):
    with pytest.raises(OSError) as caught:
        action()
    return caught.value.errno


def changes(bucket):
    """Every way to change something in the directory BUCKET, which holds the file f and the directory d."""
    return {
        "create": lambda: (bucket / "new").write_bytes(b"x"),
        "write": lambda: open(bucket / "f", "ab"),
        "truncate": lambda: os.truncate(bucket / "f", 0),
        "unlink": lambda: (bucket / "f").unlink(),
        "rename": lambda: (bucket / "f").rename(bucket / "g"),
        "mkdir": lambda: (bucket / "new").mkdir(),
        "rmdir": lambda: (bucket / "d").rmdir(),
        "symlink": lambda: (bucket / "new").symlink_to("f"),
        "chmod": lambda: (bucket / "f").chmod(0o600),
        "utime": lambda: os.utime(bucket / "f", (1, 1)),
    }


@pytest.mark.servers("versitygw")
def test_a_readonly_bucket_takes_no_change(src, dst, make_mount):
    for bucket in (src, dst):
        bucket.put("f", b"old")
        bucket.put("d/", b"")
    before = src.contents()
    mount = make_mount({"src": changed(src, readonly="yes"), "dst": dst})
    for name, change in changes(mount / "src").items():
        assert failure(change) == errno.EROFS, name
    assert failure(lambda: (mount / "dst/f").rename(mount / "src/g")) in (errno.EROFS, errno.EXDEV)
    run("cp", mount / "src/f", mount / "dst/copy")
    assert dst.get("copy") == b"old"
    assert src.contents() == before
    assert mount.status()["buckets"][0]["readonly"] is True


@pytest.mark.servers("versitygw")
def test_a_readonly_mount_takes_no_change(src, make_mount):
    src.put("f", b"old")
    src.put("d/", b"")
    mount = make_mount({"src": src}, options="ro")
    for name, change in changes(mount / "src").items():
        assert failure(change) == errno.EROFS, name
    assert (mount / "src/f").read_bytes() == b"old"


def test_what_is_beside_the_buckets_cannot_be_changed(src, make_mount):
    mount = make_mount({"src": src})
    assert failure(lambda: (mount / "new").mkdir()) in (errno.EPERM, errno.EACCES, errno.EROFS)
    assert failure(lambda: (mount / "new").write_bytes(b"")) in (errno.EPERM, errno.EACCES, errno.EROFS)
    assert failure(lambda: (mount / "src").rmdir()) in (errno.EPERM, errno.EACCES, errno.EROFS, errno.EBUSY)
    assert failure(lambda: (mount / "src").rename(mount / "x")) in (errno.EPERM, errno.EACCES, errno.EROFS, errno.EBUSY)


@pytest.mark.servers("versitygw")
def test_unmounting_what_is_in_use_is_refused_and_harmless(src, make_mount, shell):
    src.put("f", b"content")
    mount = make_mount({"src": src})
    with open(mount / "src/f", "rb") as f:
        done = shell("unmount", mount.mountpoint)
        assert done.returncode == FAILED and len(done.stderr.splitlines()) == 1, done.stderr
        assert f"{mount.mountpoint} is still in use" in done.stderr and "fuser -vm" in done.stderr
        assert f.read() == b"content"
    assert mount.unmount() == 0


def test_an_object_that_vanishes_after_the_listing(src, make_mount):
    src.put("gone", b"x" * 100_000)
    mount = make_mount({"src": src})
    assert [e.name for e in os.scandir(mount / "src")] == ["gone"]
    os.stat(mount / "src/gone")
    src.delete("gone")
    assert failure(lambda: (mount / "src/gone").read_bytes()) in (errno.ENOENT, errno.EIO, errno.ESTALE)


def deny(command, key):
    """A rule that answers 403 to COMMAND of the object KEY."""

    def rule(request):
        if request.command == command and request.path.split("?")[0].endswith("/" + key):
            return 403, {"Content-Type": "application/xml"}, s3_error("AccessDenied", "Access Denied.")
        return None

    return rule


@pytest.mark.servers("versitygw")
@pytest.mark.parametrize("size", [1000, 3_000_000], ids=["small", "in parts"])
def test_an_unreadable_source_leaves_the_destination_alone(src, dst, make_mount, size):
    src.put("locked", b"n" * size)
    dst.put("old", b"old")
    with Proxy(src.server, deny("GET", "locked")) as proxy:
        mount = make_mount({"src": src.via(proxy.endpoint), "dst": dst})
        for target in ("new", "old"):
            done = run("cp", mount / "src/locked", mount / "dst" / target, check=False)
            assert done.returncode == 1 and re.search("Permission denied|Input/output error", done.stderr), done.stderr
        assert failure(lambda: (mount / "src/locked").read_bytes()) in (errno.EACCES, errno.EIO)
        mount.wait()  # who was told by close() is not told again
        assert dst.get("old") == b"old"
        assert dst.keys() == ["old"]
        assert dst.uploads() == []
        assert re.search(r"/dst/new: .*GetObject \"locked\": access denied", mount.log), mount.log


def change_before(bucket, key, is_the_request):
    """A rule that lets someone else overwrite KEY just before the first request of a kind passes."""
    done = []

    def rule(request):
        if is_the_request(request) and not done:
            done.append(True)
            bucket.put(key, b"N" * 2_000_000)

    rule.done = done
    return rule


@pytest.mark.servers("versitygw")
@pytest.mark.parametrize("kind", ["relayed", "copied by the server"])
def test_a_source_that_changes_during_the_copy_fails_it(src, dst, make_mount, kind):
    src.put("f", b"o" * 2_000_000)
    target = dst if kind == "relayed" else src
    target.put("old", b"old")
    rule = change_before(
        src,
        "f",
        lambda r: (r.command == "GET" and r.path.split("?")[0].endswith("/f"))
        or (r.command in ("PUT", "POST") and "x-amz-copy-source" in r.headers),
    )
    with Proxy(src.server, rule) as proxy:
        mount = make_mount({"src": src.via(proxy.endpoint), "dst": dst})
        done = run("cp", mount / "src/f", mount / ("dst/old" if target is dst else "src/old"), check=False)
        assert rule.done, "nobody read the source"
        assert done.returncode == 1 and re.search("Stale file handle|Input/output error", done.stderr), done.stderr
        assert target.get("old") == b"old"
        assert target.uploads() == []
        assert re.search("/old: src/f changed while it was being copied .*: nothing was written", mount.log), mount.log


@pytest.mark.servers("versitygw")
def test_a_refused_upload_is_an_error_of_close(src, make_mount):
    with Proxy(src.server, deny("PUT", "f")) as proxy:
        mount = make_mount({"src": src.via(proxy.endpoint)})
        assert failure(lambda: (mount / "src/f").write_bytes(b"x")) == errno.EACCES
        assert not src.exists("f")
        assert re.search(r"/src/f: .*PutObject \"f\": access denied", mount.log), mount.log
        assert mount.unmount() == 0


# ---------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize("foreground", [True, False], ids=["foreground", "background"])
@pytest.mark.servers("versitygw")
def test_no_secret_shows_anywhere(src, dst, make_mount, foreground):
    src.put("f", b"x" * 100_000)
    mount = make_mount({"src": src, "dst": dst}, {"debug": "yes"}, foreground=foreground)
    run("cp", mount / "src/f", mount / "dst/f")
    (mount / "dst/g").write_bytes(b"written")
    run("cp", mount / "src/none", mount / "dst/", check=False)
    mount.wait()
    proc = pathlib.Path(f"/proc/{mount.pid}")
    seen = {
        "cmdline": (proc / "cmdline").read_text(),
        "environ": (proc / "environ").read_text(),
        "status": mount.command_line("status", mount.mountpoint).stdout,
        "status --json": mount.command_line("status", "--json", mount.mountpoint).stdout,
        "mountinfo": pathlib.Path("/proc/self/mountinfo").read_text(),
        "control directory": (mount / ".s3bridge/status.json").read_text(),
    }
    mount.stop()
    seen["log"] = mount.log
    assert "debug" in seen["log"], "debug=yes wrote nothing more"
    for secret in {src.server.secret_key, dst.server.secret_key}:
        for place, text in seen.items():
            assert secret not in text, place
    assert "Signature=" not in seen["log"] and "AWS4-HMAC" not in seen["log"]


@pytest.mark.servers("versitygw")
def test_nobody_else_can_look_into_the_daemon(src, make_mount):
    mount = make_mount({"src": src}, foreground=False)
    # Not dumpable: the files of the process belong to root, and no core file holds the keys.
    assert os.stat(f"/proc/{mount.pid}/environ").st_uid == 0
    assert re.search(r"^VmLck|^CoreDumping:\s+0", pathlib.Path(f"/proc/{mount.pid}/status").read_text(), re.MULTILINE)
