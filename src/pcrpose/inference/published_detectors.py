"""Published detectors by name: one file each, downloaded once and compared with a pinned digest."""

import contextlib
import logging
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType

from huggingface_hub import constants
from tqdm import tqdm

from pcrpose.files.atomic import write_whole
from pcrpose.files.digest import file_sha256

logger = logging.getLogger(__name__)

_RELEASE = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0"
_PATIENCE_SECONDS = 10  # until the server answers, and for each next part
_PART = 1 << 20  # bytes read at once


@dataclass(frozen=True, kw_only=True)
class PublishedDetector:
    """A detector's file on the web.

    Attributes:
        url: where its authors publish it.
        sha256: of the file, 64 hexadecimal digits; another file is never used.
        size_bytes: of the file.
    """

    url: str
    sha256: str
    size_bytes: int


# Apache-2.0; digests and sizes of the release's files, which several projects that pin them agree on.
PUBLISHED_DETECTORS: Mapping[str, PublishedDetector] = MappingProxyType(
    {
        "yolox-nano": PublishedDetector(
            url=f"{_RELEASE}/yolox_nano.onnx",
            sha256="c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d",
            size_bytes=3_659_407,
        ),
        "yolox-tiny": PublishedDetector(
            url=f"{_RELEASE}/yolox_tiny.onnx",
            sha256="427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7",
            size_bytes=20_219_662,
        ),
        "yolox-s": PublishedDetector(
            url=f"{_RELEASE}/yolox_s.onnx",
            sha256="c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063",
            size_bytes=35_858_002,
        ),
    }
)


def detector_file(source: str | Path) -> Path:
    """Return the path of a detector's file: the one given, or that of a published detector, downloaded where needed.

    A file or folder of that name comes before the published one. Downloads are kept in the cache of Hugging Face's
    client, in ``assets/pcrpose``, which HF_HOME and HF_ASSETS_CACHE move.

    Args:
        source: a path, or a name of `PUBLISHED_DETECTORS`.

    Raises:
        FileNotFoundError: if there is neither such a file nor such a name, or nothing cached while offline.
        ConnectionError: if the server cannot be reached, answers with an error, or breaks off.
        ValueError: if what is downloaded is not the file that was pinned.
    """
    path = Path(source).expanduser()
    if path.exists():
        return path
    if str(source) not in PUBLISHED_DETECTORS:
        names = ", ".join(PUBLISHED_DETECTORS)
        raise FileNotFoundError(f"{source}: no such detector file, nor the name of a published one: {names}")
    return _cached(str(source), PUBLISHED_DETECTORS[str(source)])


def _cached(name: str, published: PublishedDetector) -> Path:
    path = Path(constants.HF_ASSETS_CACHE) / "pcrpose" / "detectors" / published.url.rpartition("/")[2]
    if path.is_file() and file_sha256(path) == published.sha256:
        return path
    if constants.is_offline_mode():
        raise FileNotFoundError(f"{name}: not in the cache, and HF_HUB_OFFLINE is set; {_by_hand(published)}")
    logger.info("%s: downloading %.1f MB from %s", name, published.size_bytes / 1e6, published.url)
    write_whole(path, lambda part: _download(name, published, part))
    return path


def _download(name: str, published: PublishedDetector, part: Path) -> None:
    """Write the file, and raise unless it is the one that was pinned."""
    try:
        with (
            contextlib.closing(urllib.request.urlopen(published.url, timeout=_PATIENCE_SECONDS)) as answer,  # noqa: S310 - of our table
            part.open("wb") as stream,
            tqdm(desc=name, total=published.size_bytes, unit="B", unit_scale=True, delay=1) as progress,
        ):
            while content := answer.read(_PART):
                progress.update(stream.write(content))
                if stream.tell() > published.size_bytes:  # another file, and perhaps without end
                    break
    except (urllib.error.URLError, HTTPException, OSError) as error:
        raise ConnectionError(f"{name}: the download failed: {error}; {_by_hand(published)}") from error
    found = file_sha256(part)
    if found != published.sha256:
        raise ValueError(
            f"{name}: expected {published.size_bytes} bytes of SHA-256 {published.sha256} at {published.url}, found "
            f"{part.stat().st_size} of {found}; nothing is kept"
        )


def _by_hand(published: PublishedDetector) -> str:
    return f"fetch {published.url} elsewhere, and give the path of the file"
