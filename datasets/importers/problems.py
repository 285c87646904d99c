"""What can be wrong with a source: one table of reasons and one of fixes, and the log that counts them. Pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO, Any

EXAMPLES_KEPT = 20


class ImportRefused(Exception):
    """The source cannot be imported: what is wrong, where, and how to mend it."""

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        # What it quotes of a broken file may be anything, and ends in a row, a page or an answer.
        self.message, self.where, self.remedy = printable(message), printable(where), printable(remedy)
        super().__init__(self.message)

    def in_words(self) -> str:
        return " ".join(part for part in (self.message, f"({self.where})" if self.where else "", self.remedy) if part)


@dataclass(frozen=True, slots=True)
class Reason:
    label: str
    explanation: str
    remedy: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Fix:
    label: str
    explanation: str


FIXES: dict[str, Fix] = {
    "map_by_name": Fix("Match classes by name", "Class names decide, whatever the ids are."),
    "match_file_stem": Fix("Match images by file name", "File names, or their stems, decide, whatever the ids are."),
    "shift_category_ids": Fix("Shift category ids by one", "Every category id moves by one, so that all become known."),
    "shift_image_ids": Fix("Shift image ids by one", "Every image id moves by one, so that all become known."),
    "clip_boxes": Fix("Clip boxes to the image", "Boxes that reach past the edge end at it."),
    "convert_xyxy": Fix("Read boxes as two corners", "Boxes are x1, y1, x2, y2 instead of x, y, width, height."),
    "scale_fractions": Fix("Scale fractions to pixels", "Box values from 0 to 1 are multiplied by the image's size."),
}

REASONS: dict[str, Reason] = {
    "unknown_image": Reason(
        "Unknown image",
        "The id names no image of the file or dataset.",
        "Match images by file name, or correct the ids.",
        "match_file_stem",
    ),
    "unknown_category": Reason(
        "Unknown class",
        "The id names no category of the file or dataset.",
        "Match classes by name, or correct the ids.",
        "map_by_name",
    ),
    "foreign_ids": Reason(
        "Ids of its own",
        "The file is a whole COCO dictionary with its own image and category ids, which need not mean what the dataset's mean.",
        "Switch on both: match images by file name and classes by name.",
        "match_file_stem",
    ),
    "category_conflict": Reason(
        "Class id with two names", "The id has another name in the dataset.", "Match classes by name.", "map_by_name"
    ),
    "ids_shifted_by_one": Reason(
        "Ids shifted by one", "All ids would be known if they were moved by one.", "Shift the ids by one.", "shift_category_ids"
    ),
    "duplicate_id": Reason(
        "Id used twice", "Another annotation has this id already.", "Both are kept; give each an id of its own."
    ),
    "duplicate_image": Reason(
        "Image twice", "Another image has this id or file name already.", "Keep one of them in the file."
    ),
    "not_an_object": Reason("Not an object", "The row is not a JSON object with fields.", "Correct or remove the row."),
    "missing_field": Reason(
        "Field missing", "A field that the format demands is not there.", "Add the field, or remove the row."
    ),
    "not_numeric": Reason(
        "Not a number", "The value is text, a truth value or a list where a number belongs.", "Write it as a number."
    ),
    "not_a_number": Reason(
        "NaN or infinite", "The value is NaN, infinite or too large for a number.", "Find out why the model or tool wrote it."
    ),
    "box_degenerate": Reason("Box without extent", "Its width or height is zero or negative.", "Correct or remove the box."),
    "box_outside_image": Reason("Box outside the image", "The box does not touch its image.", "Correct or remove the box."),
    "box_past_edge": Reason(
        "Box past the edge", "The box reaches past the edge of its image.", "Kept as it is; clip it if you like.", "clip_boxes"
    ),
    "box_looks_like_xyxy": Reason(
        "Boxes look like corners",
        "Many boxes fit their image only if read as x1, y1, x2, y2.",
        "Read boxes as two corners.",
        "convert_xyxy",
    ),
    "box_looks_like_fraction": Reason(
        "Boxes look like fractions", "Nearly all values lie between 0 and 1.", "Scale fractions to pixels.", "scale_fractions"
    ),
    "bad_segmentation": Reason("Bad mask", "The polygon or RLE cannot be read, or has another size.", "Correct the mask."),
    "bad_keypoints": Reason("Bad keypoints", "Not a list of x, y, visibility of the right length.", "Correct the keypoints."),
    "missing_image_file": Reason(
        "Image file missing",
        "No file of that name; the image stands on a blank canvas.",
        "Add the file, or name the folder it is in.",
    ),
    "not_an_image": Reason(
        "Not an image", "The file is no JPEG, PNG, WebP, GIF, BMP or TIFF, whatever its name.", "Replace the file."
    ),
    "image_too_large": Reason(
        "Image too large",
        "It has more pixels than this server takes.",
        "Scale it down, or raise TOUCHSTONE_MAX_IMAGE_MEGAPIXELS.",
    ),
    "unsafe_path": Reason("Unsafe path", "The path leaves the folder of the source.", "Use paths below that folder."),
    "size_disagrees": Reason(
        "Size disagrees", "Width and height in the file are not those of the image.", "Correct the sizes; boxes may be off."
    ),
    "size_unknown": Reason(
        "Size unknown", "Neither the file nor an image says how large it is.", "Add width and height, or the image."
    ),
    "exif_rotated": Reason(
        "Rotated by EXIF",
        "The image carries an EXIF orientation; the frame that fits the declared size is used.",
        "Nothing to do; check one by eye.",
    ),
    "class_without_examples": Reason(
        "Class without examples", "No annotation has this class.", "Nothing to do; its metrics are not defined."
    ),
    "captions_ignored": Reason("Captions left out", "Captions are no labels; they are not imported.", "Nothing to do."),
    "panoptic_ignored": Reason(
        "Panoptic segments left out",
        "Panoptic annotations keep their masks in PNG files, which are not read.",
        "Import the instances file of the same images, or convert the segments to it.",
    ),
    "looks_like_predictions": Reason(
        "Looks like predictions",
        "The annotations carry scores, as models' results do.",
        "If a model made them, import the file as predictions; ground truth has no scores.",
    ),
    "bad_line": Reason(
        "Bad line", "The line does not have the columns that the format demands.", "Correct or remove the line."
    ),
    "no_class": Reason(
        "Image without a class",
        "The image lies beside the folders of the classes, in none of them.",
        "Move it into one of them.",
    ),
    "class_out_of_range": Reason(
        "Class out of range", "The class number has no name in the list.", "Correct the number or the list of names."
    ),
    "out_of_range": Reason("Out of range", "A value that must lie between 0 and 1 does not.", "Correct the line."),
    "name_too_long": Reason("Name too long", "A name or id has more than 1,000 characters, or a NUL.", "Shorten it."),
}


@dataclass(slots=True)
class Problem:
    """One reason as found in one source."""

    reason: str
    rejected: bool
    count: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)


class ProblemLog:
    """Counts problems by reason, keeps examples, and writes every rejected row to `rejects` as JSON Lines."""

    def __init__(self, rejects: IO[str] | None = None, most_rejects: int = 100_000) -> None:
        self._rejects, self._room = rejects, most_rejects
        self._found: dict[tuple[str, bool], Problem] = {}
        self._read: dict[str, int] = {}
        self._offered: set[str] = set()

    def add(
        self,
        reason: str,
        *,
        row: int | None = None,
        where: str = "",
        detail: str = "",
        rejected: bool = True,
        count: int = 1,
        kind: str = "",
    ) -> None:
        """Note a problem. `kind` ("samples", "annotations") says what was rejected, so that read = stored + rejected."""
        problem = self._found.setdefault((reason, rejected), Problem(reason, rejected))
        problem.count += count
        example = {"row": row, "where": printable(where), "detail": printable(detail)}
        if len(problem.examples) < EXAMPLES_KEPT and (row is not None or where or detail):
            problem.examples.append(example)
        if rejected:
            self._read[kind] = self._read.get(kind, 0) + count
            self._write({"reason": reason, **example})

    def offer(self, fix: str) -> None:
        """A fix that would help this source."""
        self._offered.add(fix)

    def found(self) -> list[Problem]:
        """What rejects rows first, then by count."""
        return sorted(self._found.values(), key=lambda problem: (not problem.rejected, -problem.count))

    def offered_fixes(self) -> set[str]:
        return set(self._offered)

    def rejected_by_reason(self) -> dict[str, int]:
        return {problem.reason: problem.count for problem in self.found() if problem.rejected}

    def rejected_count(self, kind: str) -> int:
        return self._read.get(kind, 0)

    def read_count(self, kind: str, stored: int) -> int:
        """How many of that kind were read: those stored and those rejected."""
        return stored + self.rejected_count(kind)

    def first_example(self) -> str:
        """Where the commonest rejection first happened, in words."""
        for problem in self.found():
            if problem.rejected and problem.examples:
                example = problem.examples[0]
                place = f"row {example['row']}" if example["row"] is not None else example["where"]
                return ": ".join(part for part in (place, example["detail"]) if part)
        return ""

    def _write(self, line: dict[str, Any]) -> None:
        if self._rejects is not None and self._room > 0:
            self._room -= 1
            self._rejects.write(json.dumps(line, ensure_ascii=False) + "\n")


def printable(text: str) -> str:
    """Text that can be stored: what is no UTF-8 is written out, NUL left out."""
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode()


def listed(words: Iterable[str], most: int = 6) -> str:
    """A few of the words, for a message."""
    found = list(words)
    return ", ".join(found[:most]) + (f" and {len(found) - most:,} more" if len(found) > most else "")
