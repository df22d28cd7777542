# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that misbehave: something that is not S3, and a proxy before a real server that answers some requests itself.

    def deny_get(request):
        if request.command == "GET" and request.path.startswith("/bucket/key"):
            return 403, {"Content-Type": "application/xml"}, s3_error("AccessDenied")

    with Proxy(server, deny_get) as proxy:
        bucket.via(proxy.endpoint)
"""

import contextlib
import http.client
import http.server
import socket
import ssl
import subprocess
import threading
import time

from rig import find_tool


def s3_error(code, message="as the test wants", extra=""):
    return f"<Error><Code>{code}</Code><Message>{message}</Message>{extra}</Error>".encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.owner.seen.append((self.command, self.path))
        answer = self.server.owner.answer(self, body)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.reply(*answer)

    def reply(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        # The answer to a HEAD says how long the body would have been.
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        if status not in (204, 304):
            self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = serve

    def log_message(self, *args):
        pass


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that goes away, or refuses the certificate, is part of the tests


class Fake:
    """An HTTP server on a free port. RULE(request) returns (status, headers, body)."""

    def __init__(self, rule, tls=None):
        self.rule = rule
        self.seen = []  # (method, path) of every request
        self.scheme = "https" if tls else "http"
        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.listener.owner = self
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            self.listener.socket = context.wrap_socket(
                self.listener.socket, server_side=True, do_handshake_on_connect=False
            )

    @property
    def endpoint(self):
        return f"{self.scheme}://127.0.0.1:{self.listener.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.listener.shutdown()
        self.listener.server_close()

    def answer(self, request, body):
        return self.rule(request)


class Proxy(Fake):
    """In front of a rig.Server: what RULE answers with None goes on to the server, its signature intact."""

    def __init__(self, server, rule=lambda request: None, tls=None):
        super().__init__(rule, tls)
        self.server = server

    def answer(self, request, body):
        answer = self.rule(request)
        if answer:
            return answer
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()


class Certificate:
    """Signed by nobody but itself, for 127.0.0.1."""

    def __init__(self, directory):
        self.certificate = directory / "certificate.pem"
        self.key = directory / "key.pem"
        argv = [find_tool("openssl"), "req", "-x509", "-nodes", "-newkey", "ec"]
        argv += ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
        argv += ["-subj", "/CN=s3bridge test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
        subprocess.run(argv + ["-keyout", self.key, "-out", self.certificate], check=True, capture_output=True)


class SlowLink:
    """A line to a rig.Server that carries no more than BYTES_PER_SECOND each way; the bytes stay as they are."""

    def __init__(self, server, bytes_per_second):
        self.server = server
        self.bytes_per_second = bytes_per_second
        self.lock = threading.Lock()
        self.free_at = {}
        self.open = []

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        for s in [self.listener, *self.open]:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self.server.port), timeout=5)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                self.open += [near, far]
                threading.Thread(target=self._carry, args=(near, far, "up"), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, "down"), daemon=True).start()

    def _carry(self, source, target, direction):
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                self._pace(direction, len(data))
                target.sendall(data)
        for s in (source, target):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def _pace(self, direction, length):
        """One line for all connections: each piece waits for those before it."""
        with self.lock:
            now = time.monotonic()
            start = max(now, self.free_at.get(direction, now))
            # A line that was made fast does not serve what it owed before.
            start = min(start, now + 1)
            self.free_at[direction] = start + length / self.bytes_per_second
        time.sleep(max(0, start - now))
