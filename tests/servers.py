"""A real HTTP server on loopback that misbehaves as asked: one path, one behaviour."""

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ETAG = '"one"'


class Misbehaving:
    """A server and what it has seen.

    Attributes
    ----------
    content
        What every file on it holds.
    etag
        Its version, for If-Range.
    requests
        Path and Range header (or None) of every request, in order.
    files
        What lies below `mirror/`, by path.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag = ETAG
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.counts: Counter[str] = Counter()
        self.address = ""

    def ranges(self) -> list[str | None]:
        """Range headers of the requests, in order."""
        return [asked for _, asked in self.requests]

    def url(self, behaviour: str, name: str = "file.zip") -> str:
        return f"{self.address}/{behaviour}/{name}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        site = self.server.site
        site.requests.append((self.path, self.headers.get("Range")))
        site.counts[self.path] += 1
        self.close_connection = True
        behaviour = self.path.split("/")[1].replace("-", "_")
        getattr(self, f"answer_{behaviour}", self.answer_missing)(site)

    def _send(self, body: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Connection", "close")
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _send_range(self, content: bytes, cut_at: int | None = None) -> None:
        """All or the rest of it, as Range and If-Range ask, cut after some bytes."""
        etag = self.server.site.etag
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.headers.get("If-Range", etag) == etag else 0
        if start and start >= len(content):
            self._send(b"", 416, Content_Range=f"bytes */{len(content)}")
            return
        rest = content[start:]
        headers = {"ETag": etag}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(rest[:cut_at], 206 if start else 200, len(rest), **headers)

    def answer_ok(self, site: Misbehaving) -> None:
        """As it should be, with ranges."""
        self._send_range(site.content)

    def answer_redirect(self, site: Misbehaving) -> None:
        self._send(b"moved", 302, Location=self.path.replace("/redirect/", "/redirect-once-more/"))

    def answer_redirect_once_more(self, site: Misbehaving) -> None:
        self._send(b"moved", 301, Location=f"{site.address}/ok/{self.path.rpartition('/')[2]}")

    def answer_redirect_for_ever(self, site: Misbehaving) -> None:
        self._send(b"moved", 302, Location=self.path)

    def answer_cut_once(self, site: Misbehaving) -> None:
        """The first connection breaks after two thirds."""
        self._send_range(site.content, len(site.content) * 2 // 3 if site.counts[self.path] == 1 else None)

    def answer_cut_always(self, site: Misbehaving) -> None:
        """Every connection breaks, a quarter of the file further each time."""
        self._send_range(site.content, len(site.content) // 4)

    def answer_cut_no_ranges(self, site: Misbehaving) -> None:
        """Every connection breaks at the same byte, and ranges are not known here."""
        self._send(site.content[: len(site.content) // 2], length=len(site.content), ETag=site.etag)

    def answer_cut_then_no_ranges(self, site: Misbehaving) -> None:
        cut = len(site.content) // 2 if site.counts[self.path] == 1 else None
        self._send(site.content[:cut], length=len(site.content), ETag=site.etag)

    def answer_cut_then_changed(self, site: Misbehaving) -> None:
        """The connection breaks, and when it is back the file has changed."""
        if site.counts[self.path] == 1:
            half = len(site.content) // 2
            self._send(b"x" * half, length=len(site.content), ETag='"old"')
        else:
            self._send_range(site.content)

    def answer_cut_then_wrong_range(self, site: Misbehaving) -> None:
        """Breaks, then sends a range that begins elsewhere, then behaves."""
        half, end = len(site.content) // 2, len(site.content)
        match site.counts[self.path]:
            case 1:
                self._send(site.content[:half], length=end, ETag=site.etag)
            case 2:
                self._send(
                    site.content[half - 7 :], 206, Content_Range=f"bytes {half - 7}-{end - 1}/{end}", ETag=site.etag
                )
            case _:
                self._send_range(site.content)

    def answer_shrunk(self, site: Misbehaving) -> None:
        """The first connection brings more than the file holds ever after."""
        if site.counts[self.path] == 1:
            self._send(site.content + b"more" * (1 << 14), length=2 * len(site.content), ETag=site.etag)
        else:
            self._send_range(site.content)

    def answer_no_validator(self, site: Misbehaving) -> None:
        """Breaks once; names neither ETag nor date, but would send ranges."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        cut = len(site.content) // 2 if site.counts[self.path] == 1 else None
        assert asked is None, "nobody may continue what he cannot recognise"
        self._send(site.content[:cut], length=len(site.content))

    def answer_compressed(self, site: Misbehaving) -> None:
        """Calls the .tar.gz a compressed .tar, as some servers do."""
        self._send(site.content, ETag=site.etag, Content_Encoding="x-gzip")

    def answer_forbidden(self, site: Misbehaving) -> None:
        self._send(b"no", 403)

    def answer_missing(self, site: Misbehaving) -> None:
        self._send(b"not found", 404)

    def answer_busy_twice(self, site: Misbehaving) -> None:
        if site.counts[self.path] <= 2:
            self._send(b"busy", 503)
        else:
            self._send_range(site.content)

    def answer_busy(self, site: Misbehaving) -> None:
        self._send(b"busy", 503)

    def answer_wrong(self, site: Misbehaving) -> None:
        self._send(b"<html>Please accept our terms</html>", ETag='"page"')

    def answer_silent(self, site: Misbehaving) -> None:
        """Never answers."""
        self.server.stopped.wait(5)

    def answer_stalls(self, site: Misbehaving) -> None:
        """Sends half, then nothing, the first time."""
        if site.counts[self.path] == 1:
            self._send_range(site.content, len(site.content) // 2)
            self.wfile.flush()
            self.server.stopped.wait(5)
        else:
            self._send_range(site.content)

    def answer_slow(self, site: Misbehaving) -> None:
        """A few KiB at a time, with ranges."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        end = len(site.content)
        headers = {"Content_Range": f"bytes {start}-{end - 1}/{end}"} if start else {}
        self._send(b"", 206 if start else 200, end - start, ETag=site.etag, **headers)
        for at in range(start, end, 1 << 16):
            try:
                self.wfile.write(site.content[at : at + (1 << 16)])
            except OSError:
                return
            time.sleep(0.02)

    def answer_unending(self, site: Misbehaving) -> None:
        """Says nothing of its length, in chunks."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(site.content), 1 << 16):
            chunk = site.content[at : at + (1 << 16)]
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def answer_mirror(self, site: Misbehaving) -> None:
        """The files that the test has put there."""
        path = self.path.removeprefix("/mirror/")
        if path in site.files:
            self._send_range(site.files[path])
        else:
            self.answer_missing(site)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: Misbehaving
    stopped: threading.Event

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""


@contextmanager
def misbehaving_server(content: bytes) -> Iterator[Misbehaving]:
    """Serve `content` on a free port of loopback until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.site = Misbehaving(content)
    server.site.address = f"http://127.0.0.1:{server.server_address[1]}"
    server.stopped = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.site
    finally:
        server.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


def refused_address() -> str:
    """An address on loopback at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"
