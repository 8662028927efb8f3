"""Upload of a folder to the Hugging Face Hub: one commit, and errors in one line."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HFValidationError

from pcrpose.models.download import HUB_ERRORS, in_one_line

MESSAGE = "Upload with pcrpose"


def upload_folder(
    folder: Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    token: str | bool | None = None,
) -> str:
    """Upload every file below a folder as one commit.

    Args:
        folder: with the files; their paths in it are those in the repository.
        repo_id: ``owner/name``; made where it does not exist.
        private: whether a new repository is to be private; one that exists stays as it is.
        revision: branch; made, of the default branch, where it does not exist.
        token: with the right to write; by default the one that was logged in with.

    Returns:
        The commit's address.

    Raises:
        ValueError: for what is no ``owner/name``.
        OSError: if the Hub refuses or cannot be reached.
    """
    if repo_id.count("/") != 1:
        raise ValueError(f"repository: expected owner/name, found {repo_id!r}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.create_commit(
            repo_id,
            [
                CommitOperationAdd(path_in_repo=path.relative_to(folder).as_posix(), path_or_fileobj=path)
                for path in files
            ],
            commit_message=MESSAGE,
            revision=revision,
        )
    except HFValidationError as error:
        raise ValueError(f"repository: expected owner/name, found {repo_id!r}: {error}") from error
    except HUB_ERRORS as error:
        raise in_one_line(error, repo_id, revision, what="push") from error
    return str(commit.commit_url)
