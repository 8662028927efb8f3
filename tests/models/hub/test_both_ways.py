"""To the Hub and back by its own client, in a process of its own: it reads the Hub's address when it is imported."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcrpose.inference.ensemble import Ensemble
from pcrpose.models.pcr import PCR

if TYPE_CHECKING:
    from tests.models.hub.conftest import HubServer

WRITER = "hf_writer"
CLIENT = """
import contextlib, io, json, sys, threading, time, urllib.request
from huggingface_hub import close_session
from pcrpose.cli.main import main
from pcrpose.inference.ensemble import Ensemble
from pcrpose.models.load import load_model

sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.05))  # between the client's tries; it is itself otherwise

def command(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    return [code, out.getvalue(), err.getvalue()]

def attempt(load, *arguments, **settings):
    try:
        load(*arguments, **settings)
    except Exception as error:
        return [type(error).__name__, str(error)]
    return ["loaded", ""]

done, slow = {}, []
for line in sys.stdin:
    name, what, arguments, settings = json.loads(line)
    if what == "command":
        done[name] = command(*arguments)
    elif what == "stop":
        with contextlib.suppress(OSError):
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(arguments[0] + "/stop").close()
        close_session()  # and with it the connection that is still open
        sleep(0.2)
    elif what == "model beside":
        attempted = lambda name=name: done.update({name: attempt(load_model, "someone/" + name)})
        slow.append(threading.Thread(target=attempted))
        slow[-1].start()
    elif what == "wait":
        for thread in slow:
            thread.join()
    else:
        done[name] = attempt(Ensemble.load if what == "ensemble" else load_model, *arguments, **settings)
print(json.dumps(done))
"""
Step = tuple[str, str, list[str], dict[str, Any]]


def start(steps: list[Step], url: str, cache: Path, **environment: str) -> subprocess.Popen[str]:
    """Run steps in a process whose client knows this Hub alone, nobody's token, and no other storage than HTTP's."""
    unwanted = ("HF_", "HUGGING", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    settings = {
        "HF_ENDPOINT": url,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_TOKEN": WRITER,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, "-c", CLIENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cache,
        env=kept | settings | environment,
    )
    assert process.stdin is not None
    process.stdin.write("\n".join(map(json.dumps, steps)) + "\n")
    process.stdin.close()
    process.stdin = None
    return process


def finish(process: subprocess.Popen[str]) -> Mapping[str, list[Any]]:
    """Wait for the steps and return what became of each."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    done: Mapping[str, list[Any]] = json.loads(out.splitlines()[-1])
    return done


def test_to_the_hub_and_back(hub_process: "HubServer", tiny_model: PCR, saved: Path, tmp_path: Path) -> None:
    """A model and an ensemble are pushed by the command and loaded by their names; each failure is one line."""
    hub = hub_process
    hub.writers = {WRITER}
    Ensemble([tiny_model, tiny_model], weights=[1, 2], mirrored=True).save(tmp_path / "both")
    files = {name: (saved / name).read_bytes() for name in ("config.json", "model.safetensors")}
    for name in ("gated", "down", "slow", "wrong", "cut", "plain"):
        hub.create(f"someone/{name}").commit(files)
    hub.repositories["someone/gated"].gated = True
    hub.repositories["someone/down"].down = True
    hub.repositories["someone/slow"].slow = True
    hub.repositories["someone/wrong"].announced = "0" * 64
    other = {**files, "model.safetensors": files["model.safetensors"] + b"\0"}  # a blob of its own
    hub.create("someone/cut").commit(other)
    hub.repositories["someone/cut"].cut = 1000
    push = ["push", str(saved), "--repo", "someone/new", "--private", "--license", "mit", "--recipe", "C"]
    steps: list[Step] = [
        ("slow", "model beside", [], {}),
        ("push", "command", push, {}),
        ("push branch", "command", ["push", "pcr-nano", "--repo", "someone/new", "--revision", "nano"], {}),
        ("push both", "command", ["push", str(tmp_path / "both"), "--repo", "someone/both", "--license", "mit"], {}),
        ("push unlicensed", "command", ["push", str(saved), "--repo", "someone/none"], {}),
        ("load", "model", ["someone/new"], {}),
        ("load branch", "model", ["someone/new"], {"revision": "nano"}),
        ("load both", "ensemble", ["someone/both"], {}),
        ("both as one", "model", ["someone/both"], {}),
        ("again", "ensemble", ["someone/both"], {"local_files_only": True}),
        *((name, "model", [f"someone/{name}"], {}) for name in ("gated", "down", "wrong", "cut", "nothing")),
        ("wait for the slow one", "wait", [], {}),
        ("stop", "stop", [hub.url], {}),
        ("no network", "model", ["someone/plain"], {}),
        ("no network but cached", "model", ["someone/new"], {}),
        ("push into nothing", "command", push, {}),
    ]
    (tmp_path / "cache").mkdir()
    (tmp_path / "offline").mkdir()

    process = start(steps, hub.url, tmp_path / "cache")
    offline = start([("offline", "model", ["someone/plain"], {})], hub.url, tmp_path / "offline", HF_HUB_OFFLINE="1")
    done = {**finish(offline), **finish(process)}

    new, both = hub.repositories["someone/new"], hub.repositories["someone/both"]
    assert (done["push"][0], done["push branch"][0], done["push both"][0]) == (0, 0, 0)
    assert done["push"][1] == f"{hub.url}/someone/new/commit/{new.branches['main']}\n"
    assert (new.private, both.private) == (True, False)
    assert (len(new.commits), len(both.commits), sorted(new.branches)) == (2, 1, ["main", "nano"])
    pushed = new.commits[new.branches["main"]]
    assert sorted(pushed) == ["README.md", "config.json", "model.safetensors", "poses.jpg"]
    assert {name: pushed[name] for name in files} == files
    assert b"license: mit" in pushed["README.md"]
    assert b'load_model("someone/new")' in pushed["README.md"]
    (tree,) = both.commits.values()
    assert sorted(tree) == [
        *("README.md", "ensemble.json", "member-1/config.json", "member-1/model.safetensors", "poses.jpg"),
    ]
    for name in ("load", "load branch", "load both", "again", "no network but cached"):
        assert done[name][0] == "loaded", (name, done[name])
    expected = {
        "both as one": ("ValueError", "expected one model, found an ensemble; use Ensemble.load"),
        "gated": ("PermissionError", "someone/gated: the repository is gated: accept its terms at"),
        "down": ("OSError", f"someone/down: the Hub at {hub.url} answered with status 503"),
        "wrong": ("ValueError", f"someone/wrong: model.safetensors: expected the SHA-256 {'0' * 64}, as the Hub says"),
        "cut": ("ConnectionError", f"someone/cut: the Hub at {hub.url} broke off the download: "),
        "nothing": (
            "FileNotFoundError",
            "no repository 'someone/nothing' on the Hub, or no access to it; nor",
        ),
        "slow": ("ConnectionError", f"someone/slow: the Hub at {hub.url} cannot be reached"),  # it answers after 8 s
        "no network": ("ConnectionError", f"someone/plain: the Hub at {hub.url} cannot be reached"),
        "offline": ("FileNotFoundError", "someone/plain: not in the cache, and HF_HUB_OFFLINE keeps from asking"),
    }
    for name, (kind, message) in expected.items():
        assert done[name][0] == kind, (name, done[name])
        assert message in done[name][1]
        assert "\n" not in done[name][1]
    for name in ("nothing", "slow", "no network", "offline"):  # both readings of the name
        assert "; nor is there a folder 'someone/" in done[name][1]
    assert "expected --license" in done["push unlicensed"][2]
    assert (done["push into nothing"][0], done["push into nothing"][2].count("\n")) == (2, 1)
    assert "someone/none" not in hub.repositories
    for name in ("nothing", "gated", "down", "slow"):  # one request decides, and is not tried again
        asked = [line for line in hub.requests if f"someone/{name}/" in line]
        assert asked == [f"HEAD /someone/{name}/resolve/main/config.json"]
    blobs = [path.name for path in (tmp_path / "cache").rglob("blobs/*")]
    assert "0" * 64 not in blobs  # the wrong file is not kept
