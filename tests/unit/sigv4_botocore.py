# SPDX-License-Identifier: GPL-3.0-or-later
"""Our signatures against botocore's, for random requests under a fixed clock.

SIGV4_TOOL names the program built from sigv4_tool.c. Run with: python3 -m pytest sigv4_botocore.py
"""
import datetime
import hashlib
import os
import random
import subprocess
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SEED = 20130524
KEY_PIECES = [
    "a", "Z", "0", " ", "  ", "+", "%", "%2F", "%20", "~", "/", "//", ".", "..", "-", "_", "=", "&", "?", "#", "$", "@",
    ":", ";", ",", "!", "*", "'", "(", ")", "[", "]", "\\", "^", "`", "|", '"', "<", ">", "ä", "€", "日本", "🗝",
    "\u0301", "\u00a0", "\x7f", "\x01", "\t", "\n", "file.txt", "dir/",
]
VALUE_WORDS = [
    "", "x", "two words", "a  b", " lead", "trail ", "tab\there", "  many    spaces   ", "ü=1, q=\"2\"", "~%+",
]
QUERY_NAMES = [
    "prefix", "delimiter", "list-type", "uploads", "uploadId", "partNumber", "a", "a-", "a.", "A", "ä", "x y",
]
SECRET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"


class Tool:
    """One process that signs many requests."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.signer = None

    def sign(self, signer, request):
        lines = []
        # Only when it changes, so that the cached key of the signer is what is tested.
        if signer != self.signer:
            lines.append(("signer", *signer))
            self.signer = signer
        lines.append(("method", request["method"]))
        lines.append(("key", request["path"]))
        lines.append(("hash", request["hash"]))
        lines.append(("time", str(int(request["now"].timestamp()))))
        lines += [("query", name, value) for name, value in request["query"]]
        lines += [("header", name, value) for name, value in request["headers"]]
        for word, *args in lines:
            text = " ".join([word] + [arg.encode().hex() or "-" for arg in args])
            self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.write(b"sign\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode()
        assert answer, "sigv4_tool ended"
        return answer.rstrip("\n")

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(timeout=10)


@pytest.fixture(scope="module")
def tool():
    path = os.environ.get("SIGV4_TOOL")
    if not path:
        pytest.fail("SIGV4_TOOL does not name the program built from sigv4_tool.c")
    t = Tool(path)
    yield t
    assert t.close() == 0


def random_text(rng, pieces, most):
    return "".join(rng.choice(pieces) for _ in range(rng.randint(0, most)))


def random_request(rng):
    """What both sides are told; host, date and hash are added by each on its own."""
    meta = {f"x-amz-meta-{rng.choice('abcdefgh')}{i}" for i in range(rng.randint(0, 4))}
    headers = [(name, rng.choice(VALUE_WORDS)) for name in sorted(meta, key=lambda _: rng.random())]
    if headers and rng.random() < 0.3:
        headers.append((rng.choice(headers)[0], rng.choice(VALUE_WORDS)))
    if rng.random() < 0.3:
        headers.append(("range", f"bytes={rng.randint(0, 99)}-{rng.randint(100, 999)}"))
    return {
        "method": rng.choice(["GET", "HEAD", "PUT", "POST", "DELETE"]),
        "host": rng.choice(["localhost:9000", "examplebucket.s3.amazonaws.com", "s3.example.org"]),
        "path": "/" + random_text(rng, KEY_PIECES, 12),
        "query": [(rng.choice(QUERY_NAMES), random_text(rng, KEY_PIECES, rng.choice([0, 0, 6])))
                  for _ in range(rng.choice([0, 0, 1, 2, 3, 8]))],
        "headers": headers,
        "body": rng.randbytes(rng.choice([0, 0, 1, 100])),
        "now": datetime.datetime(2013, 5, 24, tzinfo=datetime.timezone.utc)
        + datetime.timedelta(days=rng.randint(0, 3), seconds=rng.randint(0, 86399)),
    }


def encode_query(rng, query):
    """As it would be sent: encoded, a flag sometimes without its "="."""
    pairs = []
    for name, value in query:
        flag = not value and rng.random() < 0.5
        pairs.append(quote(name, safe="-_.~") + ("" if flag else "=" + quote(value, safe="-_.~")))
    return "?" + "&".join(pairs) if pairs else ""


def botocore_authorization(monkeypatch, auth, request, url):
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: request["now"].replace(tzinfo=None))
    theirs = AWSRequest(method=request["method"], url=url, data=request["body"])
    for name, value in request["headers"]:
        theirs.headers.add_header(name, value)
    auth.add_auth(theirs)
    return theirs.headers["Authorization"]


def our_headers(request, token):
    headers = [("host", request["host"]), ("x-amz-date", request["now"].strftime("%Y%m%dT%H%M%SZ"))]
    if token:
        headers.append(("x-amz-security-token", token))
    return headers + request["headers"]


@pytest.mark.parametrize("number", range(400))
def test_s3_request(tool, monkeypatch, number):
    rng = random.Random(SEED + number)
    # Ten requests in a row share a signer.
    account = random.Random(SEED + number // 10)
    secret = "".join(account.choices(SECRET, k=account.choice([1, 40, 64, 65, 100])))
    region = account.choice(["us-east-1", "eu-central-1", "auto"])
    signer = ("AK" + str(account.randint(0, 999)), secret, region, "s3")
    token = rng.choice([None, None, "tok+en/" + "x" * 700 + "=="])
    request = random_request(rng)
    request["hash"] = hashlib.sha256(request["body"]).hexdigest()
    scheme = rng.choice(["http", "https"])
    url = f"{scheme}://{request['host']}{quote(request['path'], safe='/~')}{encode_query(rng, request['query'])}"
    auth = botocore.auth.S3SigV4Auth(Credentials(signer[0], signer[1], token), signer[3], signer[2])
    theirs = botocore_authorization(monkeypatch, auth, request, url)

    request["headers"] = our_headers(request, token) + [("x-amz-content-sha256", request["hash"])]
    rng.shuffle(request["query"])
    # The order of fields with one name counts, that of the others does not.
    order = {name: rng.random() for name, _ in request["headers"]}
    request["headers"].sort(key=lambda header: order[header[0]])
    assert tool.sign(signer, request) == theirs


@pytest.mark.parametrize("number", range(100))
def test_request_of_another_service(tool, monkeypatch, number):
    rng = random.Random(SEED * 2 + number)
    signer = ("AKOTHER", "secret" * 6, "us-west-2", rng.choice(["sts", "service"]))
    request = random_request(rng)
    # Other services normalise the path and encode it twice, which is not what we are for: a plain path is the same.
    request["path"] = "/plain/path"
    request["hash"] = hashlib.sha256(request["body"]).hexdigest()
    url = f"https://{request['host']}{request['path']}{encode_query(rng, request['query'])}"
    auth = botocore.auth.SigV4Auth(Credentials(signer[0], signer[1]), signer[3], signer[2])
    theirs = botocore_authorization(monkeypatch, auth, request, url)

    request["headers"] = our_headers(request, None)
    assert tool.sign(signer, request) == theirs
