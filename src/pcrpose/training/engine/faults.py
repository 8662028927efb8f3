"""Troubles from outside, told in one line: a full disk, a worker process that died."""

import contextlib
import errno
import logging
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from pcrpose.training.checkpoint import find_checkpoint, read_progress

logger = logging.getLogger(__name__)

_WORKER = "DataLoader worker"  # how PyTorch's messages about them begin
_FULL = f"os error {errno.ENOSPC}"  # how safetensors, which has errors of its own, names a full disk


@contextlib.contextmanager
def plain_errors(last: Path) -> Iterator[None]:
    """Raise known troubles of a training as one clear error that says what is left of it; so does Ctrl-C, in the log.

    Args:
        last: folder of the checkpoint.

    Raises:
        ChildProcessError: if a process that prepares crops died.
        OSError: with ``ENOSPC`` if the disk is full.
    """
    try:
        yield
    except KeyboardInterrupt:
        logger.warning("stopped; %s", _left(last))
        raise
    except RuntimeError as error:
        if _WORKER not in str(error):
            raise
        raise ChildProcessError(
            "a process that prepares crops died, often for want of memory: lower num_workers or do without "
            f"cached images; {_left(last)} ({str(error).splitlines()[0]})"
        ) from None
    except (OSError, SafetensorError) as error:
        full = _FULL in str(error) if isinstance(error, SafetensorError) else error.errno == errno.ENOSPC
        if not full:
            raise
        raise OSError(errno.ENOSPC, f"the disk is full; {_left(last)}", str(last.parent)) from error


def _left(last: Path) -> str:
    found = find_checkpoint(last)
    if found is None:
        return "no checkpoint was written yet, so the same run begins anew"
    return f"the checkpoint of step {read_progress(found).step} is kept, and the same run goes on from it"
