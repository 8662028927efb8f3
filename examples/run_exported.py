"""Run a file of ``pcrpose export`` with onnxruntime and numpy alone.

python examples/run_exported.py pose.onnx image.npy X1 Y1 X2 Y2 [X1 Y1 X2 Y2 ...]
"""

import sys

import numpy as np
import onnxruntime

file, image_file, *numbers = sys.argv[1:]
image = np.load(image_file)  # (H, W, 3) uint8, RGB, as whatever opens images gives it
boxes_xyxy = np.array(numbers, dtype=np.float32).reshape(-1, 4)  # left, top, right, bottom; any number of persons

session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
keypoints, keypoint_scores, *probabilities = session.run(None, {"image": image, "boxes_xyxy": boxes_xyxy})

for person, (points, scores) in enumerate(zip(keypoints, keypoint_scores, strict=True)):
    for joint, ((x, y), score) in enumerate(zip(points, scores, strict=True)):
        print(f"person {person}, keypoint {joint}: x {x:.2f}, y {y:.2f}, score {score:.3f}")
