"""Choose the images that are set aside: no shipped model, teacher or pseudo-label sees them.

    python benchmarks/set_aside.py --coco FOLDER --guard FOLDER/val --guard LSP/val --json benchmarks/set_aside.json

FOLDER holds annotations/person_keypoints_{train,more}.json and the images in train/ and more/. Images that look alike
are one group, whose place in the order is a hash of its smallest image id; groups are taken until they hold the wanted
number of persons. Images that look like one that models are measured on (--guard) are listed too, to be left out.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pcrpose.data.images import open_image
from pcrpose.data.near_duplicates import MAX_DISTANCE, EvaluationImages, hash_distances, perceptual_hash
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.samples import AnnotatedPersons, Sample

if TYPE_CHECKING:
    from pcrpose.keypoints.boxes import Size

PARTS = ("train", "more")
LIST = Path(__file__).with_name("set_aside.json")
SALT = "pcrpose"  # of the hash: another one would choose other images


def main() -> None:
    """Read, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--guard", type=Path, action="append", default=[], help="a folder of images measured on")
    parser.add_argument("--persons", type=int, default=1000, help="to set aside (%(default)s)")
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    persons, files = read(options.coco)
    hashes = {image: perceptual_hash(open_image(path)) for image, path in files.items()}
    chosen = take(groups(hashes), persons, options.persons)
    guarded = EvaluationImages(
        (f"{folder.name}/{path.name}", path) for folder in options.guard for path in folder.iterdir() if path.is_file()
    )
    leaks = {image: leak for image, path in files.items() if (leak := guarded.find(open_image(path))) is not None}
    content = {
        "command": "python benchmarks/set_aside.py --coco COCO --guard COCO/val --guard LSP/val "
        "--json benchmarks/set_aside.json",
        "images_in_all": len(files),
        "persons_in_all": sum(persons.values()),
        "persons": sum(persons[image] for image in chosen),
        "image_ids": chosen,
        "guarded_images": len(guarded),
        "leaks": {image: f"{leak.file_name}, {leak.distance} bits differ" for image, leak in sorted(leaks.items())},
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"{content['persons']} persons of {len(chosen)} images are set aside, {len(leaks)} images leak")


def read(coco: Path) -> tuple[dict[int, int], dict[int, Path]]:
    """Count the persons with keypoints of each image, and find its file; both by image id."""
    persons: dict[int, int] = {}
    files: dict[int, Path] = {}
    for part in PARTS:
        dataset = read_coco(coco / "annotations" / f"person_keypoints_{part}.json", coco / part)
        for sample in dataset.samples:
            image, path = int(sample.image_id), sample.image
            if not isinstance(path, Path) or files.setdefault(image, path) != path:
                raise ValueError(f"image {image}: expected one file, found {path} too")
            persons[image] = persons.get(image, 0) + 1
    return persons, dict(sorted(files.items()))


def read_set_aside(coco: Path) -> tuple[AnnotatedPersons, dict[str, Any]]:
    """Read the persons that were set aside, and their annotations in the form of one COCO file."""
    chosen = set(json.loads(LIST.read_text(encoding="utf-8"))["image_ids"])
    samples: list[Sample] = []
    sizes: dict[int, Size] = {}
    paths: dict[int, Path] = {}
    content: dict[str, Any] = {"images": [], "annotations": []}
    for part in PARTS:
        file = coco / "annotations" / f"person_keypoints_{part}.json"
        persons, raw = read_coco(file, coco / part), json.loads(file.read_text(encoding="utf-8"))
        samples += [sample for sample in persons.samples if sample.image_id in chosen]
        sizes |= {image: size for image, size in persons.image_sizes.items() if image in chosen}
        paths |= {image: path for image, path in persons.image_paths.items() if image in chosen}
        content["categories"] = raw["categories"]
        content["images"] += [image for image in raw["images"] if image["id"] in chosen]
        content["annotations"] += [person for person in raw["annotations"] if person["image_id"] in chosen]
    skeleton = persons.skeleton
    return AnnotatedPersons(skeleton=skeleton, samples=tuple(samples), image_sizes=sizes, image_paths=paths), content


def groups(hashes: Mapping[int, np.ndarray[tuple[int], np.dtype[np.bool]]]) -> Iterator[list[int]]:
    """Put images together that look alike, directly or through others."""
    images = np.array(list(hashes))
    bits = np.stack(list(hashes.values()))
    rows, columns = np.nonzero(hash_distances(bits, bits) <= MAX_DISTANCE)
    count, labels = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(images),) * 2))
    order = np.argsort(labels, kind="stable")
    for part in np.split(order, np.searchsorted(labels[order], np.arange(1, count))):
        yield sorted(int(image) for image in images[part])


def take(together: Iterator[list[int]], persons: Mapping[int, int], wanted: int) -> list[int]:
    """Take groups in the order of their hash until they hold enough persons."""
    chosen: list[int] = []
    for group in sorted(together, key=lambda group: hashlib.sha256(f"{SALT} {group[0]}".encode()).digest()):
        if sum(persons[image] for image in chosen) >= wanted:
            break
        chosen += group
    return sorted(chosen)


if __name__ == "__main__":
    main()
