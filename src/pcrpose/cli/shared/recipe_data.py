"""Data of a recipe's letters on the command line: files and folders, checked and read."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pcrpose.cli.shared.options import path
from pcrpose.cli.shared.training import warn_of_errors
from pcrpose.data.augment import Augmentation
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.coco_file import AnnotationFile
from pcrpose.data.readers.negatives import NegativesFile, read_negatives
from pcrpose.data.readers.read_annotations import FORMATS, read_annotations
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.skeleton import COCO_17, Skeleton
from pcrpose.training.fine_tune import choose_cache
from pcrpose.training.recipe import LETTERS, Recipe
from pcrpose.training.run_recipe import Source

logger = logging.getLogger(__name__)

NEGATIVES = "H"
ANY_FORMAT = "AC"
MAIN = "CUA"  # the first of these that there is says what the model predicts in the end


@dataclass(frozen=True, kw_only=True)
class RecipeData:
    """Files and folders by letter, and how they are to be read.

    Attributes:
        files: annotations or negatives, by letter.
        folders: of the images.
        formats: of files, where their content does not show it.
        per_epoch: samples of a letter that an epoch takes, where that is asked for.
        verified_only: see `read_negatives`.
        reduce_jpegs: read images with ``cache="reduced"``, see `KeypointDataset`; by default they are kept in memory
            where they are few enough.
        val: annotations and image folder of the validation data.
    """

    files: Mapping[str, Path]
    folders: Mapping[str, Path]
    formats: Mapping[str, str]
    per_epoch: Mapping[str, int]
    verified_only: bool
    reduce_jpegs: bool
    val: tuple[Path, Path] | None

    @classmethod
    def check(cls, options: argparse.Namespace) -> Self:
        """Validate the options of a command, before anything is read.

        Raises:
            ValueError: if a letter has no data, has them twice, or is none of the recipe's.
            FileNotFoundError: if a file or folder is not there.
        """
        recipe: Recipe = options.recipe
        files: dict[str, Path] = {}
        folders: dict[str, Path] = {}
        for letter, file, images in options.data:
            given = f"--data {letter} {file}"
            if letter not in recipe.letters:
                raise ValueError(f"{given}: expected a letter of {recipe}, found {letter!r}")
            if letter in files:
                raise ValueError(f"{given}: expected one file per letter, found {files[letter]} for {letter} too")
            files[letter], folders[letter] = path(file), path(images)
            if not files[letter].is_file():
                found = "a folder" if files[letter].is_dir() else "none"
                raise FileNotFoundError(f"{given}: expected a file, found {found}")
            if not folders[letter].is_dir():
                raise FileNotFoundError(f"{given}: expected {images} to be the folder of its images, found none")
        if missing := [letter for letter in recipe.letters if letter not in files]:
            wanted = ", ".join(f"--data {letter} FILE IMAGES ({LETTERS[letter]})" for letter in missing)
            raise ValueError(f"recipe {recipe}: expected data for every letter; {wanted} is missing")
        _check_settings(options, files)
        return cls(
            files=files,
            folders=folders,
            formats=dict(options.format),
            per_epoch=dict(options.per_epoch),
            verified_only=options.verified_only,
            reduce_jpegs=options.reduce_jpegs,
            val=None if options.val is None else tuple(options.val),
        )

    @property
    def main(self) -> str:
        """The letter whose data decide what the model predicts in the end."""
        return next(letter for letter in MAIN if letter in self.files)

    def read_persons(self, skeleton: Skeleton | None = None) -> dict[str, AnnotatedPersons]:
        """Read the persons of every letter that stands for some.

        Args:
            skeleton: of the main data; by default what their file says.

        Raises:
            ValueError: naming the letter, if a file cannot be read or holds nobody with keypoints.
        """
        self._warn(skeleton)
        found: dict[str, AnnotatedPersons] = {}
        for letter in self.files:
            if letter == NEGATIVES:
                continue
            own = skeleton if letter == self.main else None
            file, images = self.files[letter], self.folders[letter]
            try:
                if letter in ANY_FORMAT:
                    found[letter] = read_annotations(file, images, file_format=self.formats.get(letter), skeleton=own)
                else:
                    found[letter] = read_coco(file, images, skeleton=own)
            except ValueError as error:
                raise ValueError(f"--data {letter}: {error}") from error
            if not found[letter].samples:
                raise ValueError(f"--data {letter} {file}: expected persons with keypoints, found none")
            check_images(f"--data {letter} {file}", [sample.image for sample in found[letter].samples])
        return found

    def sources(self, persons: Mapping[str, AnnotatedPersons], augmentation: Augmentation) -> dict[str, Source]:
        """Build the sources of a recipe, from persons and from the negatives if there are any."""
        cache = choose_cache(persons.values(), reduce_jpegs=self.reduce_jpegs)
        skeletons = {letter: part.skeleton for letter, part in persons.items()} | {NEGATIVES: COCO_17}
        samples = {letter: part.samples for letter, part in persons.items()}
        if NEGATIVES in self.files:
            samples[NEGATIVES] = tuple(self._negatives())
        return {
            letter: Source(
                samples=samples[letter],
                skeleton=skeletons[letter],
                per_epoch=self.per_epoch.get(letter),
                augmentation=augmentation,
                cache="none" if cache == "decoded" and letter == NEGATIVES else cache,
            )
            for letter in self.files
        }

    def _negatives(self) -> list[Sample]:
        file = self.files[NEGATIVES]
        try:
            found = read_negatives(file, self.folders[NEGATIVES], verified_only=self.verified_only)
        except ValueError as error:
            raise ValueError(f"--data {NEGATIVES}: {error}; pcrpose mine makes such a file") from error
        if not found:
            kind = "verified boxes" if self.verified_only else "boxes"
            raise ValueError(f"--data {NEGATIVES} {file}: expected {kind} without a person, found none")
        check_images(f"--data {NEGATIVES} {file}", [sample.image for sample in found])
        unseen = sum(each.verified is None for each in NegativesFile.read(file).negatives)
        if unseen and not self.verified_only:
            told = "%s: nobody has looked at %d of %d negatives; --verified-only leaves them out"
            logger.warning(told, file, unseen, len(found))
        return found

    def _warn(self, skeleton: Skeleton | None) -> None:
        """Log the errors that the doctor finds in the main data, where they are in COCO's form."""
        file = AnnotationFile.read(self.files[self.main])
        if self.formats.get(self.main, "coco") == "coco" and file.content is not None and not file.findings:
            warn_of_errors(self.files[self.main], self.folders[self.main], skeleton=skeleton, val=self.val)


def check_images(given: str, images: Sequence[Path | Image]) -> None:
    """Check that image files exist: raise if none does, log a warning if some are missing.

    Args:
        given: the option, for messages.
        images: files; arrays are in memory and not missing.
    """
    files = {image for image in images if isinstance(image, Path)}
    missing = sorted(file for file in files if not file.is_file())
    if missing and len(missing) == len(files):
        raise FileNotFoundError(f"{given}: expected its images, found none of {len(files)}, such as {missing[0]}")
    if missing:
        logger.warning("%s: %d of %d images are missing, such as %s", given, len(missing), len(files), missing[0])


def _check_settings(options: argparse.Namespace, files: Mapping[str, Path]) -> None:
    """Validate the options about single letters: each has data, one value, and a format that is read."""
    if options.verified_only and NEGATIVES not in files:
        raise ValueError(f"--verified-only: expected with {NEGATIVES} in the recipe, found {options.recipe}")
    for name, settings in (("--per-epoch", options.per_epoch), ("--format", options.format)):
        given = [letter for letter, _ in settings]
        for letter, value in settings:
            if given.count(letter) > 1:
                raise ValueError(f"{name} {letter}={value}: expected one value per letter, found {given.count(letter)}")
            if letter not in files:
                raise ValueError(f"{name} {letter}={value}: expected a letter of {options.recipe}, found {letter!r}")
    for letter, value in options.format:
        if letter not in ANY_FORMAT or value not in FORMATS:
            known = f"A or C and one of {', '.join(FORMATS)}"
            raise ValueError(f"--format {letter}={value}: expected {known}")
