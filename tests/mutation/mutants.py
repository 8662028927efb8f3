"""Planted bugs: a table of plausible mistakes, each of which the tests of its file have to catch.

The names that begin with a letter of their own say where a row comes from: ``review-`` are the thirty of a reading of
the whole code, chosen before its tests were read.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

SOURCE = "src/pcrpose/"


@dataclass(frozen=True)
class Mutant:
    """One planted bug.

    Attributes:
        name: of the row.
        file: that is changed; below ``src/pcrpose`` where it does not begin with ``examples/``.
        old: text that occurs there exactly once.
        new: text that takes its place.
        tests: files or folders that have to catch it; by default those that mirror the file.
        equivalent: why it changes no result, where it does not; such a row is planted, but not counted.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    equivalent: str = ""

    @property
    def path(self) -> str:
        """The changed file, from the root of the repository."""
        return self.file if self.file.startswith("examples/") else SOURCE + self.file

    @property
    def patterns(self) -> tuple[str, ...]:
        """Globs of the files of tests, from the root of the repository."""
        if self.tests:
            return self.tests
        path = PurePosixPath(self.file)
        folder = PurePosixPath("tests") / path.parent
        return f"{folder}/test_{path.stem}.py", f"{folder}/test_{path.stem}_*.py"


MUTANTS = (
    # keypoints
    Mutant(
        "review-01-dark-accepts-saddles",
        "keypoints/decoding.py",
        "is_maximum = (parabola.dxx < 0) & (parabola.determinant > 0)",
        "is_maximum = parabola.dxx < 0",
    ),
    Mutant(
        "review-02-half-a-cell-inside-the-right-border",
        "keypoints/heatmap.py",
        "inside = ((cells + 0.5 >= 0) & (cells - 0.5 <= last)).all(dim=-1)",
        "inside = ((cells + 0.5 >= 0) & (cells <= last)).all(dim=-1)",
    ),
    Mutant(
        "review-03-nms-drops-at-the-threshold",
        "keypoints/oks.py",
        "order[rivals]) <= threshold]",
        "order[rivals]) < threshold]",
    ),
    Mutant(
        "review-04-coco-box-one-pixel-too-wide",
        "keypoints/boxes.py",
        "np.maximum(boxes[:, 2:] - 1.0, 0.0)",
        "np.maximum(boxes[:, 2:], 0.0)",
    ),
    Mutant(
        "review-05-edge-mirrors-by-the-center-rule",
        "keypoints/crop.py",
        "offset[flags, 0] = 2 * middle[0] - offset[flags, 0]",
        "offset[flags, 0] = size.width - 1 - offset[flags, 0]",
    ),
    Mutant(
        "review-06-worst-person-on-top",
        "keypoints/drawing/poses.py",
        'for person in np.argsort(poses.pose_scores, kind="stable"):',
        'for person in np.argsort(-poses.pose_scores, kind="stable"):',
    ),
    Mutant(
        "crop-cut-forgets-the-alignment",
        "keypoints/crop.py",
        "Crops.from_windows(centers, extents, self.input_size, alignment=self.alignment)",
        "Crops.from_windows(centers, extents, self.input_size)",
        tests=(
            "tests/keypoints/test_crop.py",
            "tests/keypoints/test_crop_pixels.py",
            "tests/keypoints/test_blackout.py",
        ),
    ),
    Mutant(
        "crop-cut-forgets-the-padding",
        "keypoints/crop.py",
        "centers, extents = windows(boxes_xyxy, self.input_size.aspect, self.padding)",
        "centers, extents = windows(boxes_xyxy, self.input_size.aspect)",
        tests=(
            "tests/keypoints/test_crop.py",
            "tests/keypoints/test_crop_pixels.py",
            "tests/keypoints/test_blackout.py",
        ),
    ),
    Mutant(
        "blackout-takes-the-pixel-on-the-border",
        "keypoints/crop.py",
        "crop[:, (x < left) |",
        "crop[:, (x <= left) |",
        tests=("tests/keypoints/test_blackout.py",),
    ),
    Mutant(
        "blackout-by-the-padding",
        "keypoints/crop.py",
        "grow_boxes(boxes_xyxy, self.blackout)",
        "grow_boxes(boxes_xyxy, self.padding)",
        tests=("tests/keypoints/test_blackout.py", "tests/inference/test_blackout.py"),
    ),
    Mutant(
        "detections-share-the-caller-s-boxes",
        "keypoints/detections.py",
        'name="detected boxes").copy()',
        'name="detected boxes")',
    ),
    Mutant(
        "detections-lose-the-order-of-scores",
        "keypoints/detections.py",
        "return Detections(self.boxes_xyxy[chosen], self.scores[chosen])",
        "return Detections(self.boxes_xyxy[chosen], self.scores[np.sort(chosen)])",
    ),
    # inference
    Mutant(
        "review-07-nms-area-of-the-unpadded-window",
        "inference/predictor.py",
        "spec.input_size.aspect, spec.padding)",
        "spec.input_size.aspect, 1.0)",
    ),
    Mutant(
        "review-08-ensemble-renormalizes-the-wrong-way",
        "inference/ensemble.py",
        "+ (mean - other_mean) / other_std",
        "+ (other_mean - mean) / other_std",
    ),
    Mutant(
        "ensemble-mirrors-by-the-first-ones-rule",
        "inference/ensemble.py",
        "_at_least_float32(member(seen.flip(3)).final), config)",
        "_at_least_float32(member(seen.flip(3)).final), self.config)",
        tests=("tests/inference/test_ensemble_crops.py",),
    ),
    Mutant(
        "ensemble-counts-what-a-member-does-not-show-as-nothing",
        "inference/ensemble.py",
        "weight + given.weight * moved.shown",
        "weight + given.weight",
        tests=("tests/inference/test_ensemble_crops.py",),
    ),
    Mutant(
        "resampled-heatmaps-half-a-cell-off",
        "keypoints/resample_heatmaps.py",
        "(matrices[:, axis, 2] - first) / step",
        "matrices[:, axis, 2] / step",
    ),
    Mutant(
        "hub-file-of-another-digest-is-taken",
        "models/download.py",
        "found = file_sha256(path) if _SHA256.fullmatch(expected) else expected",
        "found = expected",
        tests=("tests/models/hub",),
    ),
    Mutant(
        "hub-is-asked-for-what-is-meant-as-a-path",
        "models/hub.py",
        "return path.suffix.lower() in FILE_SUFFIXES or path.parent.is_dir()",
        "return path.suffix.lower() in FILE_SUFFIXES",
        tests=("tests/models/test_hub.py",),
    ),
    Mutant(
        "review-24-detected-boxes-half-a-pixel-off",
        "inference/yolox.py",
        "np.clip(edges[kept] - 0.5, 0.0,",
        "np.clip(edges[kept], 0.0,",
    ),
    Mutant(
        "predictor-ignores-its-nms-threshold",
        "inference/predictor.py",
        "threshold=self.thresholds.nms",
        "threshold=0.9",
    ),
    Mutant(
        "predictor-ignores-its-keypoint-threshold",
        "inference/predictor.py",
        "threshold=self.thresholds.keypoint",
        "threshold=0.2",
    ),
    Mutant(
        "stream-loses-what-came-before-a-failure",
        "inference/predictor.py",
        "queue.flush()  # what came before it is not lost",
        "pass",
        tests=("tests/inference/test_stream.py",),
    ),
    Mutant(
        "unreadable-file-ends-a-stream",
        "inference/predictor.py",
        "        except (OSError, ValueError) as error:",
        "        except ValueError as error:",
        tests=("tests/inference/test_stream.py",),
    ),
    Mutant(
        "stream-waits-for-a-failed-image",
        "inference/stream.py",
        "return self.failure is not None or not self.missing",
        "return not self.missing",
    ),
    Mutant(
        "stream-grows-with-images-without-boxes",
        "inference/stream.py",
        "_WAITING_PER_CROP * self._batch_size:",
        "_WAITING_PER_CROP * 1000:",
    ),
    Mutant(
        "stream-overfills-a-batch",
        "inference/stream.py",
        "min(start + self._batch_size - self._num_crops, count)",
        "min(start + self._batch_size, count)",
    ),
    Mutant(
        "runtime-converts-the-caller-s-model",
        "inference/runtime.py",
        "placed = copy.deepcopy(model)",
        "placed = model",
    ),
    # data
    Mutant(
        "review-09-reduced-image-of-exif-7-shifted",
        "data/images.py",
        "_MIRRORED_X, _MIRRORED_Y = (2, 3, 6, 7)",
        "_MIRRORED_X, _MIRRORED_Y = (2, 3, 6)",
    ),
    Mutant(
        "review-10-mirrored-windows-rotate-the-wrong-way",
        "data/augment.py",
        "-rotation if mirrored else rotation, mirrored)",
        "rotation, mirrored)",
    ),
    Mutant(
        "review-11-mirrored-weights-not-swapped",
        "data/dataset.py",
        "keypoints, weights = keypoints[order], weights[order]",
        "keypoints = keypoints[order]",
    ),
    Mutant(
        "review-12-every-epoch-takes-the-same",
        "data/sampler.py",
        "range(epoch * quota, (epoch + 1) * quota)",
        "range(quota)",
        tests=("tests/data/test_dataset_order.py",),
    ),
    Mutant(
        "negative-quota",
        "data/sampler.py",
        "any(quota < 0 or (quota and not size)",
        "any((quota and not size)",
        tests=("tests/data/test_dataset_order.py",),
    ),
    Mutant(
        "no-negative-for-few-persons",
        "data/sampler.py",
        "return max(1, round(num_persons / persons_per_negative))",
        "return round(num_persons / persons_per_negative)",
        tests=("tests/data/test_dataset_order.py", "tests/training/test_run_recipe.py"),
    ),
    Mutant(
        "erased-rectangles-look-for-unlabelled-keypoints",
        "data/dataset.py",
        "known = keypoints[weights > 0] if",
        "known = keypoints if",
        tests=("tests/data/test_dataset.py", "tests/data/test_augment.py", "tests/data/test_dataset_images.py"),
    ),
    # models
    Mutant(
        "review-20-auxiliary-weight-without-effect",
        "models/loss.py",
        "total = total + self.auxiliary_weight * self._head(",
        "total = total + self._head(",
    ),
    Mutant(
        "review-22-weights-and-config-of-two-commits",
        "models/hub.py",
        "commit = found.parent.name",
        "commit = str(revision)",
        tests=("tests/models/hub", "tests/models/test_hub.py"),
    ),
    Mutant(
        "review-28-border-peaks-of-probability-maps",
        "models/pose_model.py",
        "sums[probability.argmax(dim=2, keepdim=True)]",
        "sums.max()",
    ),
    Mutant(
        "review-30-se-reads-hdc-s-output",
        "models/context.py",
        "refined * self.se(features)",
        "refined * self.se(refined if refined.shape[1] == features.shape[1] else features)",
    ),
    Mutant(
        "mobilenet-pads-the-top-and-left",
        "models/encoders/mobilenet_v2.py",
        "functional.pad(features, (0, 1, 0, 1))",
        "functional.pad(features, (1, 0, 1, 0))",
    ),
    Mutant(
        "mobilenet-pads-the-top-and-left-in-training",
        "models/encoders/mobilenet_v2.py",
        "functional.pad(features.to(self.weight.dtype), (0, 1, 0, 1))",
        "functional.pad(features.to(self.weight.dtype), (1, 0, 1, 0))",
    ),
    Mutant(
        "mobilenet-rounds-widths-down",
        "models/encoders/mobilenet_v2.py",
        "int(scaled + DIVISOR / 2)",
        "int(scaled)",
    ),
    Mutant(
        "movenet-depthwise-filters-transposed",
        "examples/convert_movenet.py",
        "(2, 3, 0, 1) if kind",
        "(2, 3, 1, 0) if kind",
        tests=("tests/examples/test_convert_movenet.py", "tests/examples/test_movenet_graph.py"),
    ),
    Mutant(
        "movenet-kernels-transposed",
        "examples/convert_movenet.py",
        "else (3, 2, 0, 1)",
        "else (3, 2, 1, 0)",
        tests=("tests/examples/test_convert_movenet.py", "tests/examples/test_movenet_graph.py"),
    ),
    Mutant(
        "old-spelling-of-a-saved-config-refused",
        "models/pose_config.py",
        '{"alignment": {"centre": "center"}}',
        "dict[str, dict[str, str]]()",
    ),
    Mutant(
        "crop-spec-forgets-the-blackout",
        "models/pose_config.py",
        "alignment=self.alignment, blackout=self.blackout",
        "alignment=self.alignment",
        tests=("tests/models/test_pose_config.py", "tests/inference/test_blackout.py"),
    ),
    # evaluation, files, cli
    Mutant(
        "review-19-ignored-poses-are-mistakes",
        "evaluation/matching.py",
        "missed = ~(found | ignored) &",
        "missed = ~found &",
    ),
    Mutant(
        "review-25-crowds-are-persons",
        "evaluation/coco.py",
        'annotation.get("iscrowd", 0)',
        "0",
    ),
    Mutant(
        "review-26-changed-image-not-predicted-again",
        "cli/shared/results.py",
        "return whole and fresh and",
        "return whole and",
    ),
    Mutant(
        "new-files-beside-an-old-last-one",
        "files/atomic.py",
        "list(parts)[-1].unlink(missing_ok=True)  # never new files beside an old last one",
        "pass",
    ),
    Mutant(
        "pixels-read-blue-first-by-everybody",
        "models/pose_config.py",
        'crops.flip(1) if self.channel_order == "bgr" else crops',
        "crops.flip(1)",
    ),
    Mutant(
        "baselines-of-mmpose-read-blue-first",
        "models/convert.py",
        'marker=mmpose.BACKBONE, rename=mmpose.from_published, baseline_channels="rgb"',
        'marker=mmpose.BACKBONE, rename=mmpose.from_published, baseline_channels="bgr"',
    ),
    Mutant(
        "norms-folded-without-their-mean",
        "models/encoders/batch_norm.py",
        "(bias - mean * scale)",
        "(bias)",
    ),
    Mutant(
        "epsilon-changed-the-wrong-way",
        "models/encoders/batch_norm.py",
        "(variance + after) / (variance + before)",
        "(variance + before) / (variance + after)",
    ),
    Mutant(
        "first-blocks-norms-of-timm-exchanged",
        "models/checkpoints/inverted_bottlenecks.py",
        '"project.conv": "conv_pw",\n        "project.norm": "bn2"',
        '"project.conv": "conv_pw",\n        "project.norm": "bn1"',
        tests=("tests/models/checkpoints/test_inverted_bottlenecks.py",),
    ),
    Mutant(
        "architecture-of-a-download-unread",
        "models/encoder_weights.py",
        "if isinstance(stated, str) and row.published and not ours:",
        "if stated is True and row.published and not ours:",
        tests=("tests/models/encoders/test_published_encoders.py",),
    ),
    Mutant(
        "folder-renamed-before-it-is-on-the-disk",
        "files/atomic.py",
        "        if file.is_file():\n            _sync(file)",
        "        file.stat()",
    ),
    Mutant(
        "file-renamed-before-it-is-on-the-disk",
        "files/atomic.py",
        "_save(part, save, sync=sync)",
        "_save(part, save, sync=False)",
    ),
    Mutant(
        "only-the-owner-reads-saved-weights",
        "files/atomic.py",
        "    part.chmod(mode)",
        "    mode.bit_length()",
    ),
    Mutant(
        "lock-is-never-released",
        "files/lock.py",
        "        self._lock.release()",
        "        self._lock.is_locked",
    ),
    Mutant(
        "holder-of-a-lock-stays-written",
        "files/lock.py",
        "        (self.folder / HOLDER_FILE).unlink(missing_ok=True)\n",
        "",
    ),
    Mutant(
        "excluded-one-is-a-fraction",
        "files/checks.py",
        "value <= 1 if one else value < 1",
        "value <= 1",
    ),
    # labelling
    Mutant(
        "review-13-persons-cover-together",
        "labelling/hard_negatives.py",
        ".max(axis=1, initial=0.0)",
        ".sum(axis=1)",
    ),
    Mutant(
        "mining-drops-at-the-least-score",
        "labelling/hard_negatives.py",
        "scores[index] < rules.min_score",
        "scores[index] <= rules.min_score",
    ),
    Mutant(
        "mining-keeps-duplicates-at-the-threshold",
        "labelling/hard_negatives.py",
        "shared >= threshold *",
        "shared > threshold *",
    ),
    Mutant(
        "mining-one-more-per-image",
        "labelling/hard_negatives.py",
        "len(kept) >= rules.per_image",
        "len(kept) > rules.per_image",
    ),
    Mutant(
        "mining-breaks-ties-by-the-detector-s-order",
        "labelling/hard_negatives.py",
        "(-each.score, each.image_id, each.order)",
        "(-each.score, each.order, each.image_id)",
    ),
    Mutant(
        "review-18-label-half-a-pixel-outside",
        "labelling/pseudo_labels/select.py",
        '> (record["width"] - 1, record["height"] - 1))',
        '> (record["width"] - 0.5, record["height"] - 0.5))',
    ),
    Mutant(
        "labels-kept-at-the-threshold",
        "labelling/pseudo_labels/select.py",
        "kept = values[..., 2] > thresholds",
        "kept = values[..., 2] >= thresholds",
    ),
    Mutant(
        "labels-need-one-keypoint-more",
        "labelling/pseudo_labels/select.py",
        "kept.sum(axis=1) >= selection.min_keypoints",
        "kept.sum(axis=1) > selection.min_keypoints",
    ),
    Mutant(
        "fraction-of-what-can-be-kept",
        "labelling/pseudo_labels/select.py",
        "count = round(fraction * len(scores))",
        "count = round(fraction * len(usable))",
    ),
    Mutant(
        "label-boxes-lose-the-last-pixel",
        "labelling/pseudo_labels/select.py",
        "(xyxy_to_xywh(box[None])[0] + (0, 0, 1, 1))",
        "xyxy_to_xywh(box[None])[0]",
    ),
    Mutant(
        "shards-begin-one-chunk-late",
        "labelling/pseudo_labels/work_file.py",
        "[self.number - 1 :: self.count]",
        "[self.number :: self.count]",
    ),
    Mutant(
        "shard-number-zero",
        "labelling/pseudo_labels/work_file.py",
        "if not 1 <= self.number <= self.count:",
        "if not 0 <= self.number <= self.count:",
    ),
    Mutant(
        "work-file-of-0.1.0-refused",
        "labelling/pseudo_labels/work_file.py",
        '_OLD_KEYS = {"pictures": "images"}',
        "_OLD_KEYS = dict[str, str]()",
    ),
    Mutant(
        "work-not-on-the-disk",
        "labelling/pseudo_labels/work_file.py",
        "            os.fsync(stream.fileno())\n",
        "",
    ),
    Mutant(
        "boxes-at-the-threshold-left-out",
        "labelling/pseudo_labels/predict.py",
        "found.scores >= self.box_threshold",
        "found.scores > self.box_threshold",
    ),
    # training
    Mutant(
        "review-14-ema-warm-up-one-step-ahead",
        "training/trainer.py",
        "self.average.update(self.model, step)",
        "self.average.update(self.model, step + 1)",
        tests=("tests/training/test_trainer.py", "tests/training/test_ema.py", "tests/training/test_strategies.py"),
    ),
    Mutant(
        "review-15-process-takes-contiguous-parts",
        "training/engine/batches.py",
        "first = (part * self.processes + self.rank) * size",
        "first = (self.rank * self.parts + part) * size",
        equivalent="which samples of a batch a process takes changes no gradient: those of all processes are averaged",
    ),
    Mutant(
        "review-16-squared-error-divided-by-processes-twice",
        "training/engine/step.py",
        "torch.tensor(1 / len(parts), device=",
        "torch.tensor(1 / (len(parts) * processes.count), device=",
    ),
    Mutant(
        "review-17-cosine-jumps-after-warm-up",
        "training/schedule.py",
        "progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)",
        "progress = step / total_steps",
    ),
    Mutant(
        "review-21-changed-visibility-not-noticed",
        "training/engine/run.py",
        "(sample.box_xyxy, sample.keypoints, sample.visibility)",
        "(sample.box_xyxy, sample.keypoints)",
    ),
    Mutant(
        "review-23-older-checkpoint-wins-after-a-crash",
        "training/checkpoint.py",
        "(folder, *interrupted_names(folder))",
        "(folder, *reversed(interrupted_names(folder)))",
    ),
    Mutant(
        "review-27-encoder-s-rate-without-effect",
        "training/trainer.py",
        'self._learning_rate(step) * group["rate"]',
        "self._learning_rate(step)",
        tests=("tests/training/test_trainer.py", "tests/training/test_strategies.py"),
    ),
    Mutant(
        "review-29-every-stage-has-the-same-seed",
        "training/run_recipe.py",
        "seed=config.seed + stage.number - 1)",
        "seed=config.seed)",
    ),
    Mutant(
        "rate-falls-with-the-batch",
        "training/trainer.py",
        "config.batch_size / (config.base_batch_size or config.batch_size)",
        "(config.base_batch_size or config.batch_size) / config.batch_size",
        tests=("tests/training/test_trainer.py", "tests/training/test_strategies.py"),
    ),
    Mutant(
        "gradient-clipped-by-parts",
        "training/trainer.py",
        "clip_grad_norm_(network.parameters(), self.config.max_grad_norm)",
        "clip_grad_norm_(network.parameters(), self.config.max_grad_norm * len(parts))",
        tests=("tests/training/test_trainer.py", "tests/training/test_strategies.py"),
    ),
    Mutant(
        "teacher-counts-once-per-part",
        "training/trainer.py",
        "loss = loss + taught / len(parts)",
        "loss = loss + taught",
        tests=("tests/training/test_trainer.py", "tests/training/test_distill.py"),
    ),
    Mutant(
        "best-stays-the-first-of-equals",
        "training/trainer.py",
        "metric >= self.progress.best  #",
        "metric > self.progress.best  #",
    ),
    Mutant(
        "record-written-without-the-teacher",
        "training/trainer.py",
        "write_record(self.output_dir, self.config, self.dataset, teacher=sha256)",
        "write_record(self.output_dir, self.config, self.dataset)",
        tests=("tests/training/test_trainer.py", "tests/training/test_distill.py"),
    ),
    Mutant(
        "teacher-s-weight-without-effect",
        "training/distill.py",
        "return self.config.teacher_weight * loss",
        "return loss",
    ),
    Mutant(
        "temperature-not-squared",
        "training/distill.py",
        "(divergence * weights).mean() * temperature**2",
        "(divergence * weights).mean() * temperature",
    ),
    Mutant(
        "teacher-teaches-background",
        "training/distill.py",
        "torch.where(is_background[:, None], 0.0, weights)",
        "torch.where(is_background[:, None], 1.0, weights)",
    ),
    Mutant(
        "teacher-of-another-blackout",
        "training/distill.py",
        '"alignment", "blackout", "heatmaps"',
        '"alignment", "heatmaps"',
    ),
    Mutant(
        "old-name-of-a-setting-lost",
        "training/config.py",
        '"gradient_clip": "max_grad_norm",',
        '"clip": "max_grad_norm",',
        tests=("tests/training/engine/test_run.py",),
    ),
    Mutant(
        "average-without-decay-stays-at-the-start",
        "training/ema.py",
        "for name, tensor in own.items()} if decay else own",
        "for name, tensor in own.items()}",
    ),
    Mutant(
        "unfinished-checkpoint-counts",
        "training/checkpoint.py",
        "if (candidate / PROGRESS_FILE).is_file():",
        "if (candidate / TRAINING_FILE).is_file():",
    ),
    Mutant(
        "statistics-frozen-at-the-surface",
        "training/optimizer.py",
        "for module in encoder.modules():",
        "for module in encoder.children():",
    ),
    Mutant(
        "milestone-one-step-late",
        "training/schedule.py",
        "step >= fraction * total_steps",
        "step > fraction * total_steps",
    ),
    Mutant(
        "warm-up-begins-at-nothing",
        "training/schedule.py",
        "return (step + 1) / warmup_steps",
        "return step / warmup_steps",
    ),
    Mutant(
        "run-goes-on-with-another-seed",
        "training/engine/run.py",
        '    "tensorboard",\n)',
        '    "tensorboard",\n    "seed",\n)',
    ),
    Mutant(
        "run-goes-on-with-another-augmentation-seed",
        "training/engine/run.py",
        '"seed": part.seed, ',
        "",
    ),
    Mutant(
        "run-keeps-its-folder-locked",
        "training/engine/run.py",
        "            lock.release()",
        "            lock.folder.exists()",
    ),
    Mutant(
        "replacement-from-another-data-set",
        "training/engine/batches.py",
        "yield from (first + int(other) for other",
        "yield from (int(other) for other",
    ),
    Mutant(
        "every-epoch-begins-where-the-resumed-one-did",
        "training/engine/batches.py",
        "first_batch=first_batch if epoch == first_epoch else 0)",
        "first_batch=first_batch)",
        tests=("tests/training/engine/test_batches.py", "tests/training/test_trainer.py"),
    ),
    Mutant(
        "last-broken-step-is-named",
        "training/engine/step.py",
        "first = min(broken, key=",
        "first = max(broken, key=",
    ),
    Mutant(
        "cross-entropy-shrinks-with-processes",
        "training/engine/step.py",
        "weights * processes.count / total",
        "weights / total",
    ),
    Mutant(
        "log-is-not-cut-back",
        "training/engine/log.py",
        "log.truncate(min(log.tell(), progress.log_bytes))",
        "log.truncate(log.tell())",
    ),
    Mutant(
        "negatives-per-epoch-without-effect",
        "training/run_recipe.py",
        "persons.get(letter) or source.per_epoch or negatives",
        "persons.get(letter) or negatives",
    ),
    Mutant(
        "second-config-from-the-third-stage",
        "training/run_recipe.py",
        "configs[-1] if len(configs) > 1 and stage.number > 1",
        "configs[-1] if len(configs) > 1 and stage.number > 2",
    ),
    Mutant(
        "crops-of-every-stage-have-seed-0",
        "training/run_recipe.py",
        "source.crops(model.config, seed=config.seed)",
        "source.crops(model.config)",
    ),
    Mutant(
        "validation-of-other-keypoints",
        "training/run_recipe.py",
        "validate if measured else None",
        "validate",
    ),
    Mutant(
        "validation-always-flips",
        "training/validation.py",
        "PosePredictor(model, flip=self.flip)",
        "PosePredictor(model)",
    ),
    Mutant(
        "fine-tuned-crops-have-seed-0",
        "training/fine_tune.py",
        "source.crops(model, seed=self.seed)",
        "source.crops(model)",
    ),
    Mutant(
        "fine-tuning-learns-statistics",
        "training/fine_tune.py",
        "freeze_statistics=True,",
        "freeze_statistics=False,",
    ),
    Mutant(
        "fine-tuning-ignores-the-teacher-s-weight",
        "training/fine_tune.py",
        "            teacher_weight=self.teacher_weight,\n",
        "",
    ),
    Mutant(
        "muon-scaled-by-the-smaller-side",
        "training/muon.py",
        "math.sqrt(max(matrix.shape))",
        "math.sqrt(min(matrix.shape))",
    ),
    Mutant(
        "other-weights-of-the-same-name",
        "training/start.py",
        'what = "name" if present["sha256"] is None else "sha256"',
        'what = "name"',
        tests=("tests/training/test_run_recipe.py",),
    ),
    # publishing
    Mutant(
        "reproduced-rows-decode-by-default",
        "publishing/run_row.py",
        'PosePredictor(model, flip=True, decoding="quarter", runtime=runtime)',
        "PosePredictor(model, flip=True, runtime=runtime)",
    ),
    Mutant(
        "checks-take-another-learning-rate",
        "publishing/run_row.py",
        "_shortened(stage.configure(training.config), ",
        "_shortened(training.config, ",
    ),
    Mutant(
        "reproduced-rows-ignore-the-augmentation",
        "publishing/run_row.py",
        """            per_epoch=count,
            augmentation=training.augmentation,
""",
        "            per_epoch=count,\n",
    ),
    Mutant(
        "hours-forget-the-negatives",
        "publishing/reproduce.py",
        'background_quota(persons) if "H" in stage.sources else 0',
        "0",
    ),
    Mutant(
        "hours-of-one-epoch",
        "publishing/reproduce.py",
        "return stage.configure(self.config).epochs * (persons + negatives)",
        "return self.config.epochs * (persons + negatives)",
    ),
)
