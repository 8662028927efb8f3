"""The front door: cheap to open, complete, and clear about what is missing."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import pcrpose

HEAVY = {"torch", "scipy", "pycocotools", "huggingface_hub", "accelerate", "PIL", "numpy", "safetensors"}
EXTRAS = ("accelerate", "onnxruntime", "onnx", "av", "skimage", "matplotlib")  # tqdm comes with huggingface_hub anyway


def run_python(code: str) -> str:
    """Run code in a fresh interpreter and give what it printed."""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)  # noqa: S603 - our own code
    assert done.returncode == 0, done.stderr
    return done.stdout


def hiding(*packages: str) -> str:
    """Write the line after which packages cannot be imported."""
    return f"import sys; sys.modules.update(dict.fromkeys({packages}))\n"


def test_import_loads_nothing_heavy() -> None:
    """``import pcrpose`` and a look at its names leave every dependency alone."""
    code = "import sys, json, pcrpose; dir(pcrpose); pcrpose.__version__; print(json.dumps(list(sys.modules)))"
    loaded = {name.split(".")[0] for name in json.loads(run_python(code))}

    assert "pcrpose" in loaded
    assert loaded & HEAVY == set()


def test_modules_need_no_extra() -> None:
    """Every module imports where only the core packages are installed."""
    walk = "import pkgutil, importlib, pcrpose\nfor module in pkgutil.walk_packages(pcrpose.__path__, 'pcrpose.'):\n"

    run_python(hiding(*EXTRAS) + walk + "    importlib.import_module(module.name)")


def test_trainer_names_its_extra() -> None:
    """Without accelerate the class is there, and building a trainer says what to install."""
    code = """
import tempfile, pcrpose
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.training.config import TrainConfig
model = pcrpose.PCR(pcrpose.PCRConfig(encoder="resnet_nano", channels=(32, 32, 32)))
people = SyntheticPoses(count=1).samples()
dataset = KeypointDataset(people, source_skeleton=pcrpose.COCO_17, crop=model.config.crop_spec)
try:
    pcrpose.Trainer(model, dataset, tempfile.gettempdir(), TrainConfig(batch_size=1))
except ImportError as error:
    print(error)
"""

    assert re.search(r"pip install '.+\[train\]'", run_python(hiding("accelerate") + code))


@pytest.mark.parametrize("name", pcrpose.__all__)
def test_names_resolve(name: str) -> None:
    """A public name is the object of its home module, and stays the same one."""
    value = getattr(pcrpose, name)

    assert value is getattr(import_module(pcrpose._HOMES[name]), name)
    assert value is getattr(pcrpose, name)


def test_the_three_lists_agree() -> None:
    """What type checkers see is what is exported is what is imported."""
    tree = ast.parse(Path(pcrpose.__file__).read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert seen == dict(pcrpose._HOMES)
    assert sorted(seen) == sorted(pcrpose.__all__)
    assert set(pcrpose.__all__) <= set(dir(pcrpose))


def test_unknown_names_are_errors() -> None:
    """A misspelt name is an AttributeError that lists the right ones."""
    with pytest.raises(AttributeError, match=r"PosePredicter.*PosePredictor"):
        getattr(pcrpose, "PosePredicter")  # noqa: B009 - a type checker would refuse the attribute


def test_version_is_the_project_s(repository: Path) -> None:
    """The installed package, the project file and the citation name one version."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert pcrpose.__version__ == project["version"]
    assert f"\nversion: {project['version']}\n" in (repository / "CITATION.cff").read_text(encoding="utf-8")


def test_the_wheel_is_what_is_tested(repository: Path) -> None:
    """Where the wheel is expected, the package does not come from the checkout, and carries its type marker."""
    if os.environ.get("PCRPOSE_EXPECT_WHEEL") != "1":
        pytest.skip("PCRPOSE_EXPECT_WHEEL is not set: the checkout may be tested")
    package = Path(pcrpose.__file__).resolve().parent

    assert package.parent.name == "site-packages"
    assert not package.is_relative_to(repository / "src")
    assert (package / "py.typed").is_file()
