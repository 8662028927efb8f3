"""Which weights something was made with, so that another session can tell."""

from pathlib import Path

from pcrpose.models.hub import WEIGHTS_FILE, find_folder
from pcrpose.training.label_work import file_sha256


def describe_weights(name: str | Path) -> dict[str, str]:
    """Name a saved model and give the hash of its weights, as values for JSON.

    Args:
        name: as for `load_model`. A folder goes by its last part: where it lies is nobody else's concern.

    Returns:
        ``name`` and ``sha256``, the latter of the file of weights.

    Raises:
        ValueError: as `load_model`.
        FileNotFoundError: as `load_model`, or if the folder holds no weights.
    """
    folder = find_folder(name)
    known_as = folder.resolve().name if Path(name) == folder else str(name)
    return {"name": known_as, "sha256": file_sha256(folder / WEIGHTS_FILE)}
