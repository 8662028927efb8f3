"""A Hub of one's own on this machine."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest


class HubRepository:
    """Branches, commits and their files; what a token must be to see them, and whether terms must be accepted first."""

    def __init__(self, token: str | None = None) -> None:
        self.branches: dict[str, str] = {}
        self.commits: dict[str, dict[str, bytes]] = {}
        self.token = token
        self.private = token is not None
        self.gated = False
        self.down = False  # answers that the Hub is
        self.slow = False  # lets nobody wait less than 8 s
        self.cut: int | None = None  # large files break off after so many bytes
        self.announced: str | None = None  # in place of the SHA-256 of large files

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add files to a branch and give the new commit's name."""
        tree = self.commits.get(self.branches.get(branch, ""), {}) | files
        summary = repr(sorted((path, hashlib.sha256(data).hexdigest()) for path, data in tree.items()))
        name = hashlib.sha1(summary.encode(), usedforsecurity=False).hexdigest()
        self.branches[branch], self.commits[name] = name, tree
        return name


class HubServer(ThreadingHTTPServer):
    """As much of a Hugging Face Hub as its own client needs to download a file and to push a folder."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.repositories: dict[str, HubRepository] = {}
        self.blobs: dict[str, bytes] = {}
        self.stopped = threading.Event()
        self.cuts: dict[str, int] = {}  # after how many bytes a large file breaks off
        self.requests: list[str] = []
        self.writers: set[str | None] | None = None  # tokens that may push; None for every one

    def create(self, repo_id: str, token: str | None = None) -> HubRepository:
        """Add a repository, or find the one of that name; with a token it is private."""
        return self.repositories.setdefault(repo_id, HubRepository(token))

    def stop(self) -> None:
        """Refuse connections from now on."""
        self.stopped.set()
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.server_port}"


class HubHandler(BaseHTTPRequestHandler):
    """Answer one request; anything unexpected is an internal error, which the client reports."""

    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it overrides
        """Stay quiet."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole answer; underscores of header names become dashes."""
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, status: int, value: object) -> None:
        """Send a JSON answer."""
        self.answer(status, json.dumps(value).encode(), Content_Type="application/json")

    def parse_request(self) -> bool:
        """Keep a record of what was asked."""
        parsed = super().parse_request()
        self.server.requests.append(f"{self.command} {self.path}")
        return parsed

    def do_HEAD(self) -> None:
        """Resolve a file without its contents."""
        self.do_GET()

    def do_GET(self) -> None:
        """Resolve ``/owner/name/resolve/revision/file``; send a large file; or stop for good."""
        if self.path.startswith("/storage/"):
            self.answer_blob(self.path.rpartition("/")[2])
        elif self.path == "/stop":
            threading.Thread(target=self.server.stop, daemon=True).start()
            self.answer(200)
        elif self.path.startswith("/api/"):
            self.answer(404, X_Error_Code="RepoNotFound")
        else:
            self.resolve()

    def resolve(self) -> None:
        """Send a small file, or tell where a large one is."""
        owner, name, _, revision, path = self.path.lstrip("/").split("/", 4)
        repository = self.server.repositories.get(f"{owner}/{name}")
        commit = "" if repository is None else repository.branches.get(revision, revision)
        files = {} if repository is None else repository.commits.get(commit, {})
        failure = self.failure(repository, found=bool(files))
        if failure is None and path not in files:
            failure = (404, "EntryNotFound")
        if repository is None or failure is not None:
            status, code = failure or (404, "RepoNotFound")
            return self.answer(status, X_Error_Code=code, X_Repo_Commit=commit)
        data = files[path]
        if not is_large(path):
            name = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            return self.answer(200, data, ETag=f'"{name}"', X_Repo_Commit=commit)
        oid = hashlib.sha256(data).hexdigest()
        self.server.blobs[oid] = data
        if repository.cut is not None:
            self.server.cuts[oid] = repository.cut
        where = f"http://localhost:{self.server.server_port}/storage/{oid}"  # another host, as the Hub's storage is
        etag, size = f'"{repository.announced or oid}"', str(len(data))
        return self.answer(302, Location=where, X_Linked_Etag=etag, X_Linked_Size=size, X_Repo_Commit=commit)

    def failure(self, repository: HubRepository | None, *, found: bool) -> tuple[int, str] | None:
        """Return the status and code with which a repository cannot be read, or None."""
        if repository is None:
            return 404, "RepoNotFound"
        if repository.token not in (None, self.bearer()):
            return 401, "RepoNotFound"
        if repository.slow:
            self.server.stopped.wait(8)
        if repository.gated or repository.down:
            return (403, "GatedRepo") if repository.gated else (503, "")
        return None if found else (404, "RevisionNotFound")

    def answer_blob(self, oid: str) -> None:
        """Send a large file, or the beginning of one that breaks off; ranges are not understood."""
        assert self.bearer() is None  # a token must not leave the Hub
        data = self.server.blobs[oid]
        cut = self.server.cuts.get(oid)
        self.answer(200, data if cut is None else data[:cut], Content_Length=str(len(data)))
        self.close_connection = cut is not None

    def do_PUT(self) -> None:
        """Store a large file's contents, if they are what was announced."""
        oid, body = self.path.rsplit("/", 1)[-1], self.body()
        if hashlib.sha256(body).hexdigest() != oid:
            return self.answer(400)
        self.server.blobs[oid] = body
        return self.answer(200)

    def do_POST(self) -> None:
        """Serve the steps of a push: create, check the card, ask how to upload, announce, commit."""
        body = self.body()
        if self.bearer() is None or (self.server.writers is not None and self.bearer() not in self.server.writers):
            self.answer(401)
            return
        match self.path.strip("/").split("/"):
            case ["api", "repos", "create"]:
                asked = json.loads(body)
                repo_id = f"{asked['organization']}/{asked['name']}"
                status = 409 if repo_id in self.server.repositories else 200
                if status != 409:
                    self.server.create(repo_id).private = asked.get("private") or asked.get("visibility") == "private"
                self.answer_json(status, {"url": f"{self.server.url}/{repo_id}"})
            case ["api", "validate-yaml"]:
                self.answer_json(200, {"errors": [], "warnings": []})
            case ["api", "models", owner, name, "branch", branch]:
                repository = self.server.create(f"{owner}/{name}")
                status = 409 if branch in repository.branches else 200
                repository.branches.setdefault(branch, repository.branches.get("main", ""))
                self.answer(status)
            case ["api", "models", _, _, "preupload", _]:
                self.answer_json(200, {"files": [self.upload_mode(file) for file in json.loads(body)["files"]]})
            case [_, _, "info", "lfs", "objects", "batch"]:
                self.answer_json(200, {"objects": [self.upload_action(item) for item in json.loads(body)["objects"]]})
            case ["api", "models", owner, name, "commit", branch]:
                lines = [json.loads(line) for line in body.splitlines()]
                files = {line["value"]["path"]: self.contents(line) for line in lines if line["key"] != "header"}
                commit = self.server.create(f"{owner}/{name}").commit(files, branch)
                url = f"{self.server.url}/{owner}/{name}/commit/{commit}"
                self.answer_json(200, {"commitUrl": url, "commitOid": commit})
            case _:
                self.answer(500)

    def bearer(self) -> str | None:
        """Read the token that came with the request."""
        return self.headers.get("Authorization", "").removeprefix("Bearer ") or None

    def body(self) -> bytes:
        """Read the request's contents, announced by length or sent in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    @staticmethod
    def upload_mode(file: dict[str, Any]) -> dict[str, Any]:
        """Answer that weights travel as large files and the rest inside the commit."""
        mode = "lfs" if is_large(file["path"]) else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}

    def upload_action(self, announced: dict[str, Any]) -> dict[str, Any]:
        """Answer where a large file is to be sent."""
        return announced | {"actions": {"upload": {"href": f"{self.server.url}/lfs/{announced['oid']}"}}}

    def contents(self, line: dict[str, Any]) -> bytes:
        """Find the contents that one line of a commit stands for."""
        value = line["value"]
        return self.server.blobs[value["oid"]] if line["key"] == "lfsFile" else base64.b64decode(value["content"])


def is_large(path: str) -> bool:
    """Tell whether the Hub keeps a file in its storage for large ones."""
    return path.endswith((".safetensors", ".jpg"))


def serve() -> tuple[HubServer, threading.Thread]:
    """Start a Hub on this machine."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    return server, thread


@pytest.fixture
def hub_process() -> Iterator[HubServer]:
    """Run a Hub for clients in other processes; it may be stopped before."""
    server, thread = serve()
    yield server
    if thread.is_alive():
        server.stop()
        thread.join()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """Run a Hub on this machine and point the real client at it, without anybody's token or cache."""
    server, thread = serve()
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    settings = {
        "ENDPOINT": server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_OFFLINE": False,
        "HF_TOKEN_PATH": str(tmp_path / "no-token"),
        "HF_HUB_CACHE": str(tmp_path / "default-cache"),
    }
    for name, value in settings.items():
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    yield server
    huggingface_hub.close_session()
    server.stop()
    thread.join()
