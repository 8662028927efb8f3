"""Published detectors: downloaded once from a server of this machine, checked, cached, and never mixed up."""

import functools
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from pcrpose.inference import published_detectors
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.published_detectors import PUBLISHED_DETECTORS, PublishedDetector, detector_file
from pcrpose.inference.yolox import YoloxDetector
from pcrpose.models.pcr import PCR, PCRConfig

MODEL = """<ir_version: 8, opset_import: ["" : 13]>
    yolox (float[1,3,64,64] images) => (float[1,84,7] output) <int64[3] shape = {1, 84, 7}> {
        output = ConstantOfShape(shape)
    }"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serve a folder, and note what was asked for."""

    def log_message(self, *_: object) -> None:
        """Write nothing on stderr."""

    def do_GET(self) -> None:
        """Serve, and note the path."""
        asked: list[str] = self.server.asked  # type: ignore[attr-defined] # set by the fixture
        asked.append(self.path)
        super().do_GET()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    """Serve the folder ``web`` on this machine."""
    (tmp_path / "web").mkdir()
    handler = functools.partial(Handler, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.asked = []  # type: ignore[attr-defined] # of this test
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def content() -> bytes:
    """Build a small model that is laid out as YOLOX's."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    data: bytes = onnx.parser.parse_model(MODEL).SerializeToString()
    return data


@pytest.fixture
def cache(server: Any, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: ANN401 - of the standard library
    """Publish the model on the server as ``yolox-nano``, with an empty cache."""
    (tmp_path / "web" / "nano.onnx").write_bytes(content)
    published = PublishedDetector(
        url=f"http://127.0.0.1:{server.server_address[1]}/nano.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )
    monkeypatch.setattr(published_detectors, "PUBLISHED_DETECTORS", {"yolox-nano": published})
    monkeypatch.setattr(huggingface_hub.constants, "HF_ASSETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "pcrpose" / "detectors"


def files(folder: Path) -> list[str]:
    """List what a folder holds, by name."""
    return sorted(path.name for path in folder.rglob("*"))


def test_downloaded_once(cache: Path, server: Any) -> None:  # noqa: ANN401 - of the standard library
    """The second use finds it in the cache, offline too, by every door that takes a detector."""
    config = PCRConfig(encoder="resnet_nano", channels=(16, 16, 16), se_norm="none")

    detector = YoloxDetector("yolox-nano", num_threads=1)
    predictor = PosePredictor(PCR(config), detector="yolox-nano")

    assert str(detector.input_size) == "64x64"
    assert isinstance(predictor.detector, YoloxDetector)
    assert server.asked == ["/nano.onnx"]
    assert files(cache) == ["nano.onnx"]
    server.shutdown()
    assert detector_file("yolox-nano") == cache / "nano.onnx"


def test_offline(cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - of the standard library
    """Whoever keeps the client from asking is told which file to fetch; nothing is asked for."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(FileNotFoundError, match=r"yolox-nano: not in the cache, .*HF_HUB_OFFLINE.* fetch http://127"):
        detector_file("yolox-nano")
    assert server.asked == []
    assert not cache.exists()


def test_no_server(cache: Path, server: Any) -> None:  # noqa: ANN401 - of the standard library
    """Where nobody answers, the error names the address and what works without it."""
    server.shutdown()
    server.server_close()

    with pytest.raises(ConnectionError, match=r"yolox-nano: the download failed: .*; fetch http://\S+ elsewhere"):
        detector_file("yolox-nano")
    assert files(cache) == []


def test_a_server_without_the_file(cache: Path, tmp_path: Path) -> None:
    """An answer that is no file is an error with its number."""
    (tmp_path / "web" / "nano.onnx").unlink()

    with pytest.raises(ConnectionError, match=r"the download failed: .*404"):
        detector_file("yolox-nano")
    assert files(cache) == []


@pytest.mark.parametrize("other", [b"not it", b"x" * 5_000_000])
def test_another_file_is_refused(cache: Path, tmp_path: Path, other: bytes) -> None:
    """A file of another digest is not kept, however long it is."""
    (tmp_path / "web" / "nano.onnx").write_bytes(other)

    with pytest.raises(ValueError, match=r"yolox-nano: expected \d+ bytes of SHA-256 [0-9a-f]{64} .*nothing is kept"):
        detector_file("yolox-nano")
    assert files(cache) == []


def test_a_broken_cache_is_replaced(cache: Path, content: bytes) -> None:
    """A cached file that has changed is downloaded anew."""
    cache.mkdir(parents=True)
    (cache / "nano.onnx").write_bytes(b"cut off")

    assert detector_file("yolox-nano").read_bytes() == content


def test_a_file_of_the_users_comes_first(cache: Path, server: Any, tmp_path: Path) -> None:  # noqa: ANN401 - of the standard library
    """What lies in the folder under that name is taken, and nothing is asked for."""
    (tmp_path / "yolox-nano").write_bytes(b"mine")

    assert detector_file("yolox-nano") == Path("yolox-nano")
    assert server.asked == []
    assert not cache.exists()


def test_unknown_names() -> None:
    """A name that is neither a file nor published is answered with those that are."""
    expected = "no such detector file, nor the name of a published one: yolox-nano, yolox-tiny, yolox-s"

    with pytest.raises(FileNotFoundError, match=f"yolox-mega: {expected}"):
        detector_file("yolox-mega")


def test_the_table() -> None:
    """Every published file is pinned by a whole digest, at one release over HTTPS."""
    release = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"

    for published in PUBLISHED_DETECTORS.values():
        assert published.url.startswith(release)
        assert re.fullmatch(r"[0-9a-f]{64}", published.sha256)
    assert PUBLISHED_DETECTORS["yolox-nano"].size_bytes == 3_659_407
