"""Findings: problems of an annotation file, one line each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning"]
Findings: TypeAlias = "Iterator[Finding]"

SHOWN_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of problem.

    Attributes:
        severity: ``"error"``: reading stops, labels are lost or the model learns something wrong. ``"warning"``: it can
            be meant so.
        check: short name of what was looked at, the same in every version.
        message: one line: what was found, how often, and what to do.
        count: how many images, persons, keypoints or names have it.
        examples: the first few of them.

    Examples:
        >>> finding = Finding(
        ...     severity="error",
        ...     check="image_files",
        ...     message="missing image files: 2 of 9; look at file_name",
        ...     count=2,
        ...     examples=("a.jpg", "b.jpg"),
        ... )
        >>> print(finding)
        error: missing image files: 2 of 9; look at file_name (a.jpg, b.jpg)
    """

    severity: Severity
    check: str
    message: str
    count: int = 1
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write severity, message and examples as one line."""
        more = ", ..." if self.count > len(self.examples) else ""
        shown = f" ({', '.join(self.examples)}{more})" if self.examples else ""
        return f"{self.severity}: {self.message}{shown}"


def found(  # noqa: D417 - the message's three parts are described in one entry
    severity: Severity, check: str, what: str, do: str, where: Sequence[object], *, total: int | None = None
) -> Findings:
    """Yield a finding about what is wrong, or nothing where ``where`` is empty.

    Args:
        severity: see `Finding`; so is ``check``.
        what: the first part of the message, ``do`` its last.
        where: one entry per occurrence; their number is the count, and the first few are the examples.
        total: out of how many, where that says something.
    """
    if where:
        count = str(len(where)) if total is None else f"{len(where)} of {total}"
        yield Finding(
            severity=severity,
            check=check,
            message=one_line(f"{what}: {count}; {do}"),
            count=len(where),
            examples=tuple(one_line(place, 60) for place in islice(dict.fromkeys(map(str, where)), SHOWN_EXAMPLES)),
        )


def one_line(text: str, longest: int = 1000) -> str:
    """Return a text on one line, cut to a length."""
    joined = " ".join(text.split())
    return joined if len(joined) <= longest else f"{joined[: longest - 3]}..."
