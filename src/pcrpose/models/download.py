"""Download from the Hugging Face Hub: one request decides, digests are checked, and each failure is one line."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (  # type: ignore[attr-defined] # HTTPError, of whichever HTTP client it uses
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import tqdm  # type: ignore[attr-defined] # its own, documented, not listed

from pcrpose.files.digest import file_sha256

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 2.5  # to connect, and as long again for the answer: 5 s at most
HUB_ERRORS = (HTTPError, OSError, EntryNotFoundError)  # what the Hub's client raises
Request: TypeAlias = Literal["find", "download", "push"]
_NO_RIGHT = (401, 403)  # status codes
_MOST_RESTARTS = 1  # of a download whose server begins anew each time
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class HubFiles:
    """Files of a repository on the Hub.

    Attributes:
        name: ``owner/name``.
        revision: branch, tag or commit; None is the default branch.
        cache_dir: where downloads are kept; None is the client's default.
        token: of a private repository.
        local_files_only: never download; use what is cached.
    """

    name: str
    revision: str | None = None
    cache_dir: str | Path | None = None
    token: str | bool | None = None
    local_files_only: bool = False

    def first_of(self, *files: str) -> Path:
        """Return the first of these files that the repository has, in a folder that is named by its commit.

        One request of at most 5 s, without retries, decides whether there is such a repository. Where the Hub cannot be
        reached, what is cached is used.

        Raises:
            FileNotFoundError: if there is no such repository, revision or file, or nothing cached and no Hub.
            PermissionError: if the repository's terms have to be accepted first.
            OSError: if the Hub answers with an error, or a download breaks off.
            ValueError: if a file is not what the Hub announced, or the name cannot be a repository's.
        """
        trouble = None if self.local_files_only else self._ask(files[0])
        lacking: Exception | None = trouble
        for file in files:
            try:
                return self._download(file, self.revision, cached=trouble is not None)
            except EntryNotFoundError as error:
                lacking = lacking or error
            except HUB_ERRORS as error:
                raise in_one_line(error, self.name, self.revision, what="download") from error
        raise in_one_line(lacking or FileNotFoundError(*files), self.name, self.revision) from lacking

    def of_commit(self, file: str, commit: str) -> Path:
        """Return another file of a commit; errors as `first_of`."""
        try:
            return self._download(file, commit, cached=False)
        except HUB_ERRORS as error:
            raise in_one_line(error, self.name, self.revision, what="download") from error

    def _ask(self, file: str) -> Exception | None:
        """Return why the Hub cannot be asked, or gives nothing; None where it knows the repository."""
        try:
            url = hf_hub_url(self.name, file, revision=self.revision)
            get_hf_file_metadata(url, token=self.token, timeout=PATIENCE_SECONDS)
        except RemoteEntryNotFoundError:
            return None
        except HFValidationError as error:
            raise ValueError(f"{self.name!r} is no folder here, and no name of a Hub repository: {error}") from error
        except RevisionNotFoundError as error:
            raise in_one_line(error, self.name, self.revision) from error
        except HUB_ERRORS as error:
            logger.info("%s: the Hub gives nothing, what is cached is used: %s", self.name, error)
            return error
        return None

    def _download(self, file: str, revision: str | None, *, cached: bool) -> Path:
        """Return a file of the cache, downloaded where it is not there; raises the errors of the Hub's client."""
        local = cached or self.local_files_only
        path = Path(
            hf_hub_download(
                self.name,
                file,
                revision=revision,
                cache_dir=self.cache_dir,
                token=self.token,
                local_files_only=local,
                tqdm_class=_Bar,
            )
        )
        expected = self._announced(path, file, local=local)
        found = file_sha256(path) if _SHA256.fullmatch(expected) else expected
        if found != expected:
            blob = path.parent / path.readlink() if path.is_symlink() else path
            path.unlink()
            blob.unlink(missing_ok=True)
            raise ValueError(
                f"{self.name}: {file}: expected the SHA-256 {expected}, as the Hub says, found {found}; removed from "
                "the cache, try again"
            )
        return path

    def _announced(self, path: Path, file: str, *, local: bool) -> str:
        """Return the digest that the Hub announced for a cached file; that of a large one is its SHA-256."""
        if path.is_symlink():  # to a file that is named by it
            return path.readlink().name
        if local:  # a file system without links: only the Hub knows
            return ""
        url = hf_hub_url(self.name, file, revision=path.parent.name)
        return get_hf_file_metadata(url, token=self.token, timeout=PATIENCE_SECONDS).etag or ""


class _Bar(tqdm):
    """The client's progress bar, which ends a download that begins anew time and again; the client would not."""

    restarts: int = 0

    def update(self, n: float | None = 1) -> bool | None:
        if n is not None and n < 0:
            self.restarts += 1
            if self.restarts > _MOST_RESTARTS:
                raise OSError("the download was cut, time and again")
        shown: bool | None = super().update(n)
        return shown


def in_one_line(error: Exception, name: str, revision: str | None, *, what: Request = "find") -> Exception:
    """Return the error to raise for one of the Hub's client: what failed, and both readings of a name.

    Args:
        error: one of `HUB_ERRORS`.
        name: ``owner/name``.
        revision: as asked for.
        what: was asked for. A name that is only looked for has another reading, which the error names too.
    """
    hub = constants.ENDPOINT
    otherwise = f"; nor is there a folder {name!r} here" if what == "find" else ""
    kind: type[OSError] = FileNotFoundError
    match error:
        case GatedRepoError():
            kind = PermissionError
            text = f"{name}: the repository is gated: accept its terms at {hub}/{name} and log in with hf auth login"
        case HfHubHTTPError() if what == "push" and error.response.status_code in _NO_RIGHT:
            kind = PermissionError
            text = f"{name}: expected a token with the right to write: hf auth login, or HF_TOKEN; {hub} refused"
        case RepositoryNotFoundError():
            text = f"no repository {name!r} on the Hub, or no access to it{otherwise}"
        case RevisionNotFoundError():
            text = f"{name}: the repository has no revision {revision!r}"
        case OfflineModeIsEnabled():
            text = f"{name}: not in the cache, and HF_HUB_OFFLINE keeps from asking the Hub{otherwise}"
        case LocalEntryNotFoundError():
            text = f"{name}: not in the cache, and not to be had from the Hub: {error}"
        case EntryNotFoundError():
            text = f"{name}: the repository lacks config.json or model.safetensors (pickled weights are never loaded)"
        case HfHubHTTPError():
            kind = OSError
            text = f"{name}: the Hub at {hub} answered with status {error.response.status_code}: {error}"
        case HTTPError():
            kind = ConnectionError
            failed = "broke off the download" if what == "download" else "cannot be reached"
            text = f"{name}: the Hub at {hub} {failed}: {str(error) or type(error).__name__}{otherwise}"
        case _:
            kind, text = OSError, f"{name}: {error}"
    return kind(" ".join(text.split()))
