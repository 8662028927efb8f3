"""``pcrpose mine``: mine hard negatives, and write contact sheets to review them."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pcrpose.cli.shared.options import at_least, existing_file, fraction, path
from pcrpose.cli.shared.progress import counted
from pcrpose.cli.shared.results import new_file, new_folder
from pcrpose.data.readers.coco import read_detections
from pcrpose.data.readers.negatives import Negative, NegativesFile, with_review, write_negatives
from pcrpose.data.readers.person_boxes import PersonBoxes
from pcrpose.files.digest import short_file_digest
from pcrpose.labelling.contact_sheets import write_contact_sheets
from pcrpose.labelling.hard_negatives import REASONS, MiningResult, MiningRules, mine_negatives

EPILOG = """\
examples:
  pcrpose mine train.json detections.json --images photos --out negatives.json --sheets sheets
  pcrpose mine train.json detections.json --images photos --out negatives.json --rejected 3,17,25-30

Where annotations leave people out, much of what is mined is a person all the same: look at the sheets, and run the
command again with the numbers of the boxes that hold a person, or where it cannot be told. Those are then marked, and
all others are verified.

exit codes: 0 all is well; 2 a mistake in what was asked for, or a file that cannot be used; 130 stopped by Ctrl-C
"""
_RULES = MiningRules()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("annotations", type=existing_file, metavar="ANNOTATIONS.json", help="persons in COCO's form")
    parser.add_argument(
        "detections", type=existing_file, metavar="DETECTIONS.json", help="boxes in COCO's results form"
    )
    parser.add_argument("--images", type=path, metavar="FOLDER", help="folder of the images, for --sheets")
    parser.add_argument("--out", type=new_file, required=True, metavar="FILE.json", help="file of negatives to write")
    parser.add_argument("--sheets", type=new_folder, metavar="FOLDER", help="write contact sheets to look at")
    parser.add_argument(
        "--rejected",
        type=numbers,
        metavar="N,N-N",
        help="what you saw on the sheets of the same boxes: these hold a person or cannot be told, the others do not; "
        'none: ""',
    )
    rules = parser.add_argument_group("rules")
    rules.add_argument(
        "--min-score", type=fraction, default=_RULES.min_score, metavar="S", help="least score (%(default)s)"
    )
    rules.add_argument(
        "--max-intersection",
        type=fraction,
        default=_RULES.max_intersection,
        metavar="S",
        help="largest fraction of a box that one person may cover (%(default)s: no touching at all)",
    )
    rules.add_argument(
        "--min-side", type=at_least(1), default=1, metavar="PIXELS", help="least width and height (%(default)s)"
    )
    rules.add_argument(
        "--duplicate-iou",
        type=fraction,
        default=_RULES.duplicate_iou,
        metavar="S",
        help="leave out boxes that share this much with a better-scored one (%(default)s)",
    )
    rules.add_argument("--per-image", type=at_least(1), metavar="N", help="most boxes of one image")
    rules.add_argument("--limit", type=at_least(1), metavar="N", help="most boxes in all, best scores first")
    rules.add_argument(
        "--incomplete",
        action="store_true",
        help='use images that say "annotations_complete": false; they are passed over otherwise',
    )
    rules.add_argument(
        "--complete-only", action="store_true", help='pass over images that do not say "annotations_complete": true'
    )


def run(options: argparse.Namespace) -> int:
    """Mine, write, and say what became of the detections."""
    if options.sheets is not None and options.images is None:
        raise ValueError("--sheets: expected --images, the folder of the images, as well")
    if options.sheets is not None and not options.images.is_dir():
        raise FileNotFoundError(f"--images {options.images}: expected the folder of the images")
    if options.incomplete and options.complete_only:
        raise ValueError("--incomplete and --complete-only contradict each other")
    rules = MiningRules(
        min_score=options.min_score,
        max_intersection=options.max_intersection,
        min_side=options.min_side,
        duplicate_iou=options.duplicate_iou,
        per_image=options.per_image,
        limit=options.limit,
        skip_incomplete=not options.incomplete,
        skip_unstated=options.complete_only,
    )
    people = PersonBoxes.read(options.annotations)
    result = mine_negatives(read_detections(options.detections), people, rules)
    negatives = _with_review(result.negatives, options.out, options.rejected)
    write_negatives(options.out, negatives, _source(options, rules, result))
    pages = []
    if options.sheets is not None:
        pages = write_contact_sheets(options.sheets, negatives, options.images)
    sys.stdout.write("\n".join([*_report(result, people, negatives), f"wrote {options.out}"]) + "\n")
    if pages:
        sys.stdout.write(f"wrote {counted(len(pages), 'contact sheet')} in {options.sheets}\n")
    return 0


def numbers(text: str) -> tuple[int, ...]:
    """Read whole numbers and ranges, ``3,17,25-30``."""
    found: list[int] = []
    for part in filter(None, text.replace(" ", "").split(",")):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
            raise argparse.ArgumentTypeError(f"expected numbers and ranges such as 3,17,25-30, found {part!r}")
        found += range(int(first), int(last) + 1)
    return tuple(found)


def _with_review(negatives: tuple[Negative, ...], out: Path, rejected: tuple[int, ...] | None) -> tuple[Negative, ...]:
    """Add review labels to the very boxes that the file lists; never lose labels that it holds."""
    before = NegativesFile.read(out).negatives if out.is_file() else None
    if rejected is None:
        if before and any(each.verified is not None for each in before):
            raise ValueError(f"{out}: holds review labels; choose another file, or --rejected")
        return negatives
    if before is None:
        raise ValueError(f"{out}: no such file; --rejected needs the one whose sheets you have looked at")
    boxes = [[(each.image_id, each.to_dict()["bbox"]) for each in listed] for listed in (before, negatives)]
    if boxes[0] != boxes[1]:
        raise ValueError(
            f"{out}: lists {len(before)} other boxes than these rules give ({len(negatives)}); "
            "--rejected needs the options with which its sheets were made"
        )
    return with_review(negatives, rejected)


def _source(options: argparse.Namespace, rules: MiningRules, result: MiningResult) -> dict[str, Any]:
    """Return where the boxes come from, by name and content."""
    files = {
        name: {"file": file.name, "sha256": short_file_digest(file)}
        for name, file in (("annotations", options.annotations), ("detections", options.detections))
    }
    return {**files, "rules": rules.to_dict(), "detections_read": result.num_detections, "dropped": result.dropped}


def _report(result: MiningResult, people: PersonBoxes, negatives: tuple[Negative, ...]) -> list[str]:
    """Write what was mined and what was not."""
    images = {each.image_id for each in negatives}
    lines = [f"{counted(result.num_detections, 'detection')}, {counted(len(people.file_names), 'image')}"]
    lines += [f"{count:8}  {REASONS[reason]}" for reason, count in result.dropped.items() if count]
    lines.append(f"{len(negatives):8}  hard negatives, in {counted(len(images), 'image')}")
    looked = [each.verified for each in negatives if each.verified is not None]
    if looked:
        lines.append(f"{sum(looked):8}  of them verified, {len(looked) - sum(looked)} rejected")
    elif images & (people.unstated | people.incomplete):
        count = len(images & (people.unstated | people.incomplete))
        lines.append(
            f"of these images {count} do not say that all their persons are annotated: look before you train on them"
        )
    return lines
