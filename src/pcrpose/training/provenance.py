"""Which weights something was made with, so that another session can tell."""

from pathlib import Path

from pcrpose.models.hub import WEIGHTS_FILE, find_folder
from pcrpose.training.label_work import file_sha256


def describe_weights(name: str | Path) -> dict[str, str]:
    """Name weights and give their hash, as values for JSON.

    Args:
        name: a saved model, as for `load_model`, or a file of weights. A path goes by its last part: where it lies is
            nobody else's concern.

    Returns:
        ``name`` and ``sha256``, the latter of the file of weights.

    Raises:
        ValueError: as `load_model`.
        FileNotFoundError: as `load_model`, or if the folder holds no weights.
    """
    if Path(name).is_file():
        return {"name": Path(name).name, "sha256": file_sha256(Path(name))}
    folder = find_folder(name)
    known_as = folder.resolve().name if Path(name) == folder else str(name)
    return {"name": known_as, "sha256": file_sha256(folder / WEIGHTS_FILE)}
