"""The page, read as a browser would: whole, self-contained, escaped, and with the evaluator's own values."""

import base64
import io
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pcrpose.evaluation.bootstrap import bootstrap_interval
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.evaluation.report import plots as plots_module
from pcrpose.evaluation.report.elements import Html
from pcrpose.evaluation.report.write import write_report
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import COCO_17, Skeleton

EVIL = "<script>alert('$x$ & \"y\"')</script>"
STICK = Skeleton(EVIL, (f"left_{EVIL}", "right_end", "tip"), [(0, 1)], [(0, 1)], [0.1] * 3)
VOID = {"meta", "img", "path", "use"}
PARTS = ["metrics", "groups", "errors", "reliability", "pck", "persons"]


@dataclass
class Page(HTMLParser):
    """What a page holds; an element that is not closed, or closes another, fails the test."""

    text: str
    tags: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    alternatives: list[str] = field(default_factory=list)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    within: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and its links."""
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.links += [values[name] for name in ("src", "href") if name in values]
        self.ids += [values["id"]] if "id" in values else []
        if tag == "img":
            self.alternatives.append(values["alt"])
        if tag == "caption":
            self.rows: list[list[str]] = []
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag not in VOID:
            self.within.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that is closed at once."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.within.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        if tag not in VOID:
            assert self.within.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text, and what it is the text of."""
        if "style" not in self.within:
            self.said.append(data)
        if "caption" in self.within:
            self.tables[data] = self.rows
        if self.within[-1:] in (["td"], ["th"]):
            self.rows[-1][-1] += data


def annotated(image_id: int, joints: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    """Annotate a person of visible keypoints along a line."""
    places = np.linspace(20, 120, joints)
    keypoints = [number for place in places.tolist() for number in (place, place / 2, 2)]
    fields = {"image_id": image_id, "category_id": 1, "keypoints": keypoints, "area": 10000.0}
    return {**fields, "bbox": [10, 5, 120, 65], **changes}


def evaluated(
    *persons: dict[str, Any], skeleton: Skeleton = COCO_17, images: int = 2, offset: float = 2.0, found: bool = True
) -> tuple[CocoEvaluator, dict[int, Poses]]:
    """Evaluate a pose for each person, some way beside the annotation."""
    content = {
        "images": [{"id": image_id} for image_id in range(images)],
        "categories": [{"id": 1}],
        "annotations": list(persons),
    }
    evaluator, poses = CocoEvaluator(content, skeleton=skeleton), dict[int, Poses]()
    for image_id in range(images):
        own = [person for person in persons if person["image_id"] == image_id] if found else []
        numbers = np.array([person["keypoints"] for person in own]).reshape(-1, skeleton.num_keypoints, 3)
        poses[image_id] = Poses(
            keypoints=numbers[..., :2] + offset,
            keypoint_scores=np.full(numbers.shape[:2], 0.75),
            boxes_xyxy=np.array([np.add(person["bbox"], (0, 0, 10, 5)) for person in own]).reshape(-1, 4),
            box_scores=np.ones(len(own)),
            pose_scores=np.full(len(own), 0.7),
            skeleton=skeleton,
        )
        evaluator.update(image_id, poses[image_id])
    return evaluator, poses


@pytest.fixture
def _quick_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the drawing of plots to the tests that look at them."""
    monkeypatch.setattr(plots_module, "_svg", lambda *_, **__: Html("<svg></svg>"))


def pixels(_: int) -> Image:
    """Return a gray image."""
    return np.full((96, 160, 3), 90, dtype=np.uint8)


def test_everything(tmp_path: Path) -> None:
    """One page with every part; its tables hold the evaluator's metrics and intervals, its images are part of it."""
    persons = [annotated(0, 17), annotated(0, 17, area=5000.0), annotated(1, 17)]
    evaluator, poses = evaluated(*persons, offset=6.0)
    target = tmp_path / "new" / "report.html"

    write_report(target, evaluator, poses, title="my model", facts={"boxes": "given"}, open_image=pixels, draws=20)

    page = Page(target.read_text(encoding="utf-8"))
    assert page.within == []
    assert [link for link in page.links if not link.startswith(("#", "data:image/jpeg;base64,"))] == []
    assert set(PARTS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    metrics, intervals = evaluator.compute(), bootstrap_interval(evaluator, draws=20)
    expected = [[f"{getattr(metrics, name):.3f}", str(interval)] for name, interval in intervals.items()]
    assert [row[1:] for row in page.tables["COCO's metrics"][1:]] == expected
    sizes = page.tables["By size of the person"]
    assert [row[:3] for row in sizes[1:]] == [
        ["all", "3", f"{metrics.ap:.3f}"],
        ["medium", "1", f"{metrics.ap_medium:.3f}"],
        ["large", "2", f"{metrics.ap_large:.3f}"],
    ]
    assert page.tables["By number of visible keypoints"][-1][:2] == ["16 to 17", "3"]
    types = {row[0]: row[1:] for row in page.tables["Error types of keypoints"][1:]}
    assert sum(int(types[name][0]) for name in ("good", "jitter", "inversion", "swap", "miss")) == 51
    assert len(page.alternatives) == 6
    assert "a person in image 1" in " ".join(page.alternatives)
    assert page.tags.count("svg") == 5
    assert page.tables["By number of visible keypoints"][1] == ["none", "0", "no persons", *["\N{EN DASH}"] * 2]


@pytest.mark.usefixtures("_quick_plots")
def test_images_are_decodable(tmp_path: Path) -> None:
    """A person is drawn twice, alike in size; the longer side is that of all drawings."""
    evaluator, poses = evaluated(annotated(0, 17), images=1)
    write_report(tmp_path / "report.html", evaluator, poses, open_image=pixels, image_names={0: "a.jpg"}, draws=5)

    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    encoded = [link.partition(",")[2] for link in page.links if link.startswith("data:")]
    drawings = [PIL.Image.open(io.BytesIO(base64.b64decode(text))) for text in encoded]
    assert [drawing.format for drawing in drawings] == ["JPEG", "JPEG"]
    assert [max(drawing.size) for drawing in drawings] == [300, 300]
    assert page.alternatives[0].startswith("Pose of a person in a.jpg, OKS 0.9")


def test_names_are_escaped(tmp_path: Path) -> None:
    """Titles, facts, keypoints and files that look like HTML are shown as they are, and nothing of them runs."""
    evaluator, poses = evaluated(annotated(0, 3), skeleton=STICK, images=1)
    write_report(
        tmp_path / "report.html",
        evaluator,
        poses,
        title=EVIL,
        facts={EVIL: EVIL},
        open_image=pixels,
        image_names={0: EVIL},
        draws=5,
    )

    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert page.said.count(EVIL) >= 5
    assert [row[0] for row in page.tables["PCK by keypoint"][1:]] == [
        "all keypoints",
        f"left {EVIL}",
        "right end",
        "tip",
    ]
    assert EVIL in page.alternatives[0]


@pytest.mark.usefixtures("_quick_plots")
def test_without_poses(tmp_path: Path) -> None:
    """A model that finds nobody has a page: zeros where something was to be found, nothing drawn."""
    evaluator, poses = evaluated(annotated(0, 17), found=False)
    write_report(tmp_path / "report.html", evaluator, poses, open_image=pixels, draws=5)

    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    said = " ".join(page.said)
    assert page.tables["COCO's metrics"][1] == ["AP", "0.000", "0.000 to 0.000"]
    assert page.tables["COCO's metrics"][4][1] == "no persons"
    assert "0 of 0 poses are matched" in said
    assert "Reliability of the keypoint score: no keypoints." in said
    assert page.tables["PCK by keypoint"][1][1:] == ["17", "0.000", "0.000", "0.000"]
    assert "nan" not in said
    assert "Persons without a pose of their box, here 1, are not among them." in said


@pytest.mark.usefixtures("_quick_plots")
def test_without_persons(tmp_path: Path) -> None:
    """Annotations without a person who counts have a page that says so; nothing is nan or -1."""
    evaluator, poses = evaluated(annotated(0, 17, keypoints=[0] * 51, area=9.0), found=False, images=1)
    write_report(tmp_path / "report.html", evaluator, poses, open_image=pixels, draws=5)

    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    said = " ".join(page.said)
    assert {tuple(row[1:]) for row in page.tables["COCO's metrics"][1:]} == {("no persons", "\N{EN DASH}")}
    assert "svg" not in page.tags
    assert page.said.count("no persons.") == 2
    assert "nan" not in said
    assert "-1" not in said


@pytest.mark.usefixtures("_quick_plots")
def test_probabilities(tmp_path: Path) -> None:
    """Poses with calibrated probabilities get a second table: here nine in ten promised, and all are right."""
    evaluator, poses = evaluated(annotated(0, 17), images=1, offset=0.0)
    with_probabilities = {
        image_id: Poses(**{**vars(found), "keypoint_probabilities": np.full((len(found), 17), 0.9)})
        for image_id, found in poses.items()
    }
    write_report(tmp_path / "plain.html", evaluator, poses, draws=5)
    write_report(tmp_path / "report.html", evaluator, with_probabilities, draws=5)

    plain, page = (Page((tmp_path / name).read_text(encoding="utf-8")) for name in ("plain.html", "report.html"))
    caption = "Keypoint probability: reliability over all keypoints"
    assert caption not in plain.tables
    assert page.tables[caption][1][:2] == ["calibration error", "0.100"]
    assert page.tables[caption][2][:2] == ["Brier score", "0.010"]
    assert page.tables["Keypoint score: reliability over all keypoints"][1][1] == "0.250"
    assert any("No images were given" in said for said in page.said)


@pytest.mark.usefixtures("_quick_plots")
def test_an_existing_file_stays(tmp_path: Path) -> None:
    """A file that is there is not overwritten, and an error on the way leaves nothing behind."""
    evaluator, poses = evaluated(annotated(0, 17))
    taken = tmp_path / "taken.html"
    taken.write_text("mine")
    with pytest.raises(FileExistsError, match=r"taken.html: expected the name of a new file"):
        write_report(taken, evaluator, poses, draws=5)

    def broken(_: int) -> Image:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_report(tmp_path / "other.html", evaluator, poses, open_image=broken, draws=5)

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("taken.html", "mine")]


def test_other_poses_are_refused(tmp_path: Path) -> None:
    """Poses that the evaluator does not hold would make a page that contradicts itself."""
    evaluator, poses = evaluated(annotated(0, 17))

    with pytest.raises(ValueError, match="expected 1 in image 0, as in the evaluator, found 0"):
        write_report(tmp_path / "r.html", evaluator, {**poses, 0: Poses.empty()}, draws=5)
    with pytest.raises(ValueError, match="the evaluator's 2 images, found a change at 1"):
        write_report(tmp_path / "r.html", evaluator, {0: poses[0]}, draws=5)


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib the error says what to install, before anything is computed."""
    monkeypatch.setattr("pcrpose.evaluation.report.plots.find_spec", lambda _: None)
    monkeypatch.setattr("pcrpose.evaluation.report.write.measure", None)
    evaluator, poses = evaluated(annotated(0, 17))

    with pytest.raises(ImportError, match=r"a report needs matplotlib: pip install '.*\[report\]'"):
        write_report(tmp_path / "r.html", evaluator, poses)
