"""A server that can be dead, slow or lying, and models so small that they train in a second."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


class Server:
    """Answers as Touchstone does, or as `behave` says: it is given path and body, and returns status and text, or None for truth."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.behave: Callable[[str, dict[str, Any]], tuple[int, str] | None] = lambda path, body: None
        self.started: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told = outer.behave(self.path, body)
                if told is None:
                    outer.requests.append((self.path, body))
                    told = 200, json.dumps(outer.truth(self.path, body))
                self.send_response(told[0])
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(told[1].encode())))
                self.end_headers()
                self.wfile.write(told[1].encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def truth(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/start/"):
            return {"job_id": "j", "attempt": body["attempt"], "url": "", "panel": None, "prediction_set": None} | self.started
        if path.endswith("/predictions/"):
            return {"stored": len(body["predictions"]), "updated": 0, "rejected": []}
        if path.endswith("/checkpoints/"):
            return {"id": 1, **body}
        if path.endswith("/sets/"):
            return {"name": body["name"], "version": 1, "prediction_set": f"{body['name']}@1", "item_count": len(body["items"])}
        return {"job_id": "j", "status": "running"}

    def rows(self) -> list[tuple[float, int, str]]:
        """(epoch, attempt, prediction) of all rows that came."""
        return [
            (body["epoch"], body["attempt"], row["prediction"])
            for path, body in self.requests
            if path.endswith("/predictions/")
            for row in body["predictions"]
        ]

    def wait_for(self, count: int, seconds: float = 10) -> None:
        until = time.monotonic() + seconds
        while len(self.rows()) < count and time.monotonic() < until:
            time.sleep(0.01)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.close()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("URL", "TOKEN", "JOB_ID", "MODE", "DIR", "PROJECT"):
        monkeypatch.delenv(f"TOUCHSTONE_{name}", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.chdir(tmp_path)
