"""A report over HTTP, for this machine only."""

import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from auscult.core.errors import ConfigError, StoreError

HOST = "127.0.0.1"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")


def serve(run_folder: Path, port: int = 0, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve a run's report until interrupted.

    Args:
        run_folder: The run; its report must have been rendered.
        port: 0 takes a free one.
        on_ready: Is told the address.

    Raises:
        StoreError: The run has no report yet.
        ConfigError: The port is taken.
    """
    with server(run_folder, port) as running:
        if on_ready is not None:
            on_ready(address_of(running))
        running.serve_forever()


def server(run_folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of a run's report, bound but not yet running.

    Raises:
        StoreError: The run has no report yet.
        ConfigError: The port is taken.
    """
    report = (run_folder / "report").resolve()
    if not (report / "index.html").is_file():
        raise StoreError(
            f"{run_folder} has no report yet: render it with `auscult report {run_folder}`"
        )
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Pages, directory=str(report)))
    except (OSError, OverflowError) as error:
        raise ConfigError(f"port {port} cannot be used ({error}); 0 takes a free one") from error


def address_of(running: ThreadingHTTPServer) -> str:
    """Where a server's first page is."""
    return f"http://{HOST}:{running.server_address[1]}/index.html"


class _Pages(SimpleHTTPRequestHandler):
    """Files of one folder: no listings, nothing outside, byte ranges so that players can seek."""

    server_version = "auscult"
    sys_version = ""
    extensions_map = {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".jams": "application/json",
        ".csv": "text/csv; charset=utf-8",
        ".txt": "text/plain; charset=utf-8",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".mp3": "audio/mpeg",
        "": "application/octet-stream",
    }

    def send_head(self) -> BytesIO | BinaryIO | None:
        """Refuse foreign hosts, listings and what lies outside; else answer, in part if asked."""
        if not self._is_local():
            self.send_error(HTTPStatus.FORBIDDEN, "This server answers this machine only")
            return None
        path = Path(self.translate_path(self.path)).resolve()
        if path.is_dir():
            path = path / "index.html"
        if not path.is_relative_to(Path(self.directory).resolve()) or not path.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        wanted = _RANGE.match(self.headers.get("Range", ""))
        if wanted is None:
            return super().send_head()
        return self._part(path, int(wanted[1]), wanted[2])

    def _is_local(self) -> bool:
        """Whether the request names this machine, and is not a foreign page reaching in."""
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        return host in (HOST, "localhost")

    def _part(self, path: Path, first: int, last: str) -> BytesIO | None:
        content = path.read_bytes()
        stop = min(int(last) + 1, len(content)) if last else len(content)
        if first >= stop:
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return None
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Range", f"bytes {first}-{stop - 1}/{len(content)}")
        self.send_header("Content-Length", str(stop - first))
        self.end_headers()
        return BytesIO(content[first:stop])

    def end_headers(self) -> None:
        """Say that ranges are understood, that types are meant, and that nothing is to be kept."""
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
