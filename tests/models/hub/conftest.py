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
    """Branches, commits and their files; what a token must be to see them."""

    def __init__(self, token: str | None = None) -> None:
        self.branches: dict[str, str] = {}
        self.commits: dict[str, dict[str, bytes]] = {}
        self.token = token

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
        self.requests: list[str] = []

    def create(self, repo_id: str, token: str | None = None) -> HubRepository:
        """Add a repository, or find the one of that name; with a token it is private."""
        return self.repositories.setdefault(repo_id, HubRepository(token))

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
        """Resolve ``/owner/name/resolve/revision/file``."""
        owner, name, _, revision, path = self.path.lstrip("/").split("/", 4)
        repository = self.server.repositories.get(f"{owner}/{name}")
        if repository is None or repository.token not in (None, self.bearer()):
            return self.answer(404 if repository is None else 401, X_Error_Code="RepoNotFound")
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            return self.answer(404, X_Error_Code="RevisionNotFound")
        files = repository.commits[commit]
        if path not in files:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        etag = f'"{hashlib.sha256(files[path]).hexdigest()}"'
        return self.answer(200, files[path], ETag=etag, X_Repo_Commit=commit)

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
        if self.bearer() is None:
            self.answer(401)
            return
        match self.path.strip("/").split("/"):
            case ["api", "repos", "create"]:
                asked = json.loads(body)
                repo_id = f"{asked['organization']}/{asked['name']}"
                status = 409 if repo_id in self.server.repositories else 200
                self.server.create(repo_id)
                self.answer_json(status, {"url": f"{self.server.url}/{repo_id}"})
            case ["api", "validate-yaml"]:
                self.answer_json(200, {"errors": [], "warnings": []})
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
        mode = "lfs" if file["path"].endswith(".safetensors") else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}

    def upload_action(self, announced: dict[str, Any]) -> dict[str, Any]:
        """Answer where a large file is to be sent."""
        return announced | {"actions": {"upload": {"href": f"{self.server.url}/lfs/{announced['oid']}"}}}

    def contents(self, line: dict[str, Any]) -> bytes:
        """Find the contents that one line of a commit stands for."""
        value = line["value"]
        return self.server.blobs[value["oid"]] if line["key"] == "lfsFile" else base64.b64decode(value["content"])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """Run a Hub on this machine and point the real client at it, without anybody's token or cache."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
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
        monkeypatch.setenv(name, "127.0.0.1")
    yield server
    huggingface_hub.close_session()
    server.shutdown()
    server.server_close()
    thread.join()
