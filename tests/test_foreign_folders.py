"""Run folders that somebody else has made, moved or damaged: nothing is lost, and it is said."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.runs import TINY
from unfold.cli import invoke
from unfold.commands.run import run
from unfold.errors import MISTAKE, OK, DataError, UnfoldError
from unfold.files import open_log, open_regular, read_object, read_regular, remove, write_whole
from unfold.terminal.run_folders import find_run, read_run
from unfold.training import session
from unfold.training.checkpoint import TrainingState, load, newest, save
from unfold.training.folder import locked, write_error
from unfold.training.metrics import MetricsFile, read_metrics

STATE = TrainingState(
    5,
    {"W": np.ones((2, 3))},
    {"mean": {"W": np.ones((2, 3))}},
    counters={"smoothed_loss": 0.5, "clipped_steps": 3},
)
STEPS = 12


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of twelve steps, made once."""
    place = tmp_path_factory.mktemp("finished")
    (place / "tiny.yaml").write_text(TINY)
    changes = [f"train.steps={STEPS}"]
    runs = str(place / "runs")
    assert run(str(place / "tiny.yaml"), changes, "reference", folder=runs, json=True) == OK
    return place / "runs" / "tiny-1"


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(finished, tmp_path / "tiny-1")
    return tmp_path / "tiny-1"


def resumed(folder: Path, steps: int = STEPS) -> int:
    """Go on with a run and return the exit code."""
    return invoke(["run", "--resume", str(folder), "--set", f"train.steps={steps}"])


# Links and pipes


@pytest.mark.parametrize("name", [".lock", "metrics.jsonl", "sessions.jsonl"])
def test_lock_symlink_truncates_any_file(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    precious = folder.parent / "precious.txt"
    precious.write_text("precious\n")
    (folder / name).unlink()
    (folder / name).symlink_to("../precious.txt")
    assert resumed(folder, STEPS + 1) == MISTAKE
    said = capsys.readouterr().err
    assert f"{folder / name} is a symbolic link, but must be a regular file" in said
    assert precious.read_text() == "precious\n"


@pytest.mark.parametrize("name", [".lock", "metrics.jsonl", "sessions.jsonl"])
def test_a_second_name_of_a_file_keeps_its_content(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A hard link, as a copy of a folder has that takes no room."""
    precious = folder.parent / "precious.txt"
    shutil.copy(folder / name, precious) if name != ".lock" else precious.write_text("precious\n")
    before = precious.read_bytes()
    (folder / name).unlink()
    (folder / name).hardlink_to(precious)
    assert resumed(folder, STEPS + 1) == (MISTAKE if name == ".lock" else OK)
    assert ("is not a lock of unfold" in capsys.readouterr().err) is (name == ".lock")
    assert precious.read_bytes() == before


def pipe(path: Path) -> None:
    """Put a pipe in the place of a file."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("spec.yaml", "its spec.yaml is a pipe"),
        ("run.json", "run.json is a pipe"),
        (".lock", ".lock is a pipe"),
        ("metrics.jsonl", "metrics.jsonl is a pipe"),
        ("sessions.jsonl", "sessions.jsonl is a pipe"),
        ("checkpoint/000012/state.json", "000012 is damaged: state.json is a pipe"),
    ],
)
def test_a_pipe_in_a_run_folder_does_not_wait_for_ever(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    pipe(folder / name)
    code = resumed(folder, STEPS + 1)
    assert code == (OK if "checkpoint" in name else MISTAKE)
    assert message in capsys.readouterr().err


def test_files_are_opened_without_the_flags_of_posix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows has none of them: then a link is found by looking."""
    monkeypatch.setattr("unfold.files.SAFELY", 0)
    (tmp_path / "a").write_bytes(b"a\r\n")
    (tmp_path / "b").symlink_to("a")
    assert read_regular(tmp_path / "a") == b"a\r\n"
    for flags in (os.O_RDONLY, os.O_RDWR | os.O_CREAT):
        with pytest.raises(DataError, match="is a symbolic link"):
            open_regular(tmp_path / "b", flags)
    with open_log(tmp_path / "a") as log:
        log.write("b\n")
    assert read_regular(tmp_path / "a") == b"a\r\nb\n"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")
    with pytest.raises(DataError, match="larger than 2 bytes"):
        read_regular(tmp_path / "a", 2)


def test_a_file_is_written_whole_where_a_link_lies_in_wait(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / f".a.{os.getpid()}.partial").symlink_to("precious")
    write_whole(tmp_path / "a", "new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "a").read_text() == "new" and not (tmp_path / "a").is_symlink()


def test_removing_a_link_keeps_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    for name in ("folder", "folder/inner"):
        (tmp_path / "link").symlink_to(name)
        remove(tmp_path / "link")
        assert (tmp_path / name).is_dir()
    (tmp_path / "folder" / "out").symlink_to(tmp_path)
    remove(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


# Types


def contents(*texts: str) -> pytest.MarkDecorator:
    """Try several texts of a file."""
    return pytest.mark.parametrize("text", texts, ids=[t[:20] for t in texts])


@contents('{"mode": 3}', '{"backend": {"a": 1}}', '{"dtype": []}', "[]", "null", "{", "[" * 100_000)
def test_run_json(tmp_path: Path, text: str) -> None:
    assert read_run(tmp_path).backend is None
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DataError) as told:
        read_run(tmp_path)
    assert str(told.value).startswith(f"{tmp_path}/run.json")
    if text.startswith('{"'):
        assert next(iter(json.loads(text))) in str(told.value)


BEST = {"step": 4, "loss": 0.25, "misses": 1}


@pytest.mark.parametrize(
    "change",
    [
        *({"step": s} for s in (-5, 1.5, float("inf"), True, None, "5", 10**30)),
        *({"counters": c} for c in ([], None, {"smoothed_loss": "a"}, {"smoothed_loss": None})),
        *({"best": {**BEST, k: "a"}} for k in BEST),
        {"best": {**BEST, "more": 1}},
        *({"best": b} for b in ([], 5, {})),
        *({"equations": e} for e in (None, 5, [5])),
        *({"data": d} for d in (None, 5, [], "x", {"vocabularies": []}, {"normalisation": 3})),
        {"data": {"normalisation": {"x": {"divide": "a"}}}},
        *({"seed": s} for s in (None, [])),
        *({"format": f} for f in (None, [], 10**400)),
    ],
    ids=str,
)
def test_contents_of_a_run_folder_trusted_for_types(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """The sums are right, so that only what is read can tell."""
    folder = save(STATE, tmp_path, {"equations": ["h = x"], "data": {}, "seed": 0})
    assert load(folder).state.counters == STATE.counters
    altered(folder, json.dumps({**read_object(folder / "state.json"), **change}))
    with pytest.raises(DataError) as told:
        load(folder)
    assert str(folder) in str(told.value)
    assert ("format" if "format" in change else next(iter(change))) in str(told.value)


def altered(folder: Path, state: str) -> None:
    """Put another state.json into a checkpoint, and mend the sums."""
    old = hashlib.sha256((folder / "state.json").read_bytes()).hexdigest()
    (folder / "state.json").write_text(state)
    new = hashlib.sha256(state.encode()).hexdigest()
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(old, new))


@pytest.mark.parametrize("name", ["²", "٣٣٣٣٣٣", "12", "0" * 200, "000012x"])
def test_names_that_are_numbers_elsewhere_are_no_checkpoints(tmp_path: Path, name: str) -> None:
    save(STATE, tmp_path, {})
    (tmp_path / name).mkdir()
    found = newest(tmp_path)
    assert found is not None and found.state.step == 5
    save(replace(STATE, step=6), tmp_path, {})
    assert (tmp_path / name).is_dir()


def test_a_file_of_arrays_that_holds_none(tmp_path: Path) -> None:
    folder = save(STATE, tmp_path, {})
    file = folder / "optimizer.safetensors"
    old = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(b"nothing")
    sums = (folder / "SHA256SUMS").read_text()
    new = hashlib.sha256(b"nothing").hexdigest()
    (folder / "SHA256SUMS").write_text(sums.replace(old, new))
    with pytest.raises(DataError, match=r"optimizer\.safetensors does not contain arrays"):
        load(folder)


# Folders that move, and links in them


def test_run_folder_that_moves_or_has_links(tmp_path: Path) -> None:
    """A checkpoint that was moved to another disk: the link goes, what it leads to stays."""
    place, disk = tmp_path / "checkpoint", tmp_path / "disk"
    disk.mkdir()
    for step in (3, 6):
        save(replace(STATE, step=step), place, {})
    (place / "000006").rename(disk / "000006")
    (place / "000006").symlink_to(disk / "000006")
    told: list[str] = []
    found = newest(place, told.append)
    assert found is not None and found.state.step == 3
    assert (
        "000006 is a symbolic link, not the folder of a checkpoint; using the previous one, 000003"
        in told[0]
    )
    for step in (6, 9, 12):
        save(replace(STATE, step=step), place, {})
    (place / "000009").rename(disk / "000009")
    (place / "000009").symlink_to(disk / "000009")
    save(replace(STATE, step=15), place, {})
    assert sorted(p.name for p in place.iterdir()) == ["000012", "000015"]
    assert sorted(p.name for p in disk.iterdir()) == ["000006", "000009"]
    assert load(disk / "000009").state.step == 9


def test_links_in_the_place_of_what_is_left_behind(folder: Path) -> None:
    somewhere = folder.parent / "somewhere"
    somewhere.mkdir()
    (somewhere / "a").write_text("precious")
    for name in (".x.12.partial", "checkpoint/.000012.12.partial", ".file.12.partial"):
        (folder / name).symlink_to(somewhere / "a" if "file" in name else somewhere)
    (folder / ".movie.partial").write_text("not ours")
    with locked(folder):
        assert not [p for p in folder.rglob("*.partial") if p.is_symlink()]
    assert (somewhere / "a").read_text() == "precious"
    assert (folder / ".movie.partial").exists()


def test_a_folder_of_checkpoints_that_is_a_link(tmp_path: Path) -> None:
    save(STATE, tmp_path / "real", {})
    (tmp_path / "checkpoint").symlink_to("real")
    for use in (newest, lambda place: save(replace(STATE, step=9), place, {})):
        with pytest.raises(
            DataError, match="checkpoint is a symbolic link, but must be the folder of"
        ):
            use(tmp_path / "checkpoint")
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["000005"]


def test_a_folder_of_somebody_else_among_the_checkpoints_stays(tmp_path: Path) -> None:
    for name in ("000001", "000009"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photo.jpg").write_text("precious")
    for step in (5, 9, 12, 15):
        save(replace(STATE, step=step), tmp_path, {})
    assert (tmp_path / "000001" / "photo.jpg").exists()
    assert (tmp_path / "000009.damaged" / "photo.jpg").exists()


def test_a_run_whose_folder_moves_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes no second folder under the old name."""
    moved = folder.with_name("moved")
    write = session.save

    def late(*arguments: object) -> Path:
        if not moved.exists():
            folder.rename(moved)
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "save", late)
    with pytest.raises(DataError) as told:
        run(None, [f"train.steps={STEPS + 3}"], resume=str(folder), json=True)
    assert f"{folder} no longer exists: it was moved or removed" in str(told.value)
    assert "unfold run --resume  and its new name" in str(told.value)
    assert not folder.exists()
    monkeypatch.undo()
    assert resumed(moved, STEPS + 1) == OK


def test_what_a_run_folder_is_not(tmp_path: Path) -> None:
    (tmp_path / "spec").write_text(TINY)
    (tmp_path / "runs" / "x").mkdir(parents=True)
    (tmp_path / "runs" / "x" / "spec.yaml").symlink_to(tmp_path / "spec")
    with pytest.raises(UnfoldError, match=r"its spec\.yaml is a symbolic link"):
        find_run(str(tmp_path / "runs" / "x"))


# metrics.jsonl

Damage = Callable[[list[bytes]], list[bytes]]


def flipped(line: bytes) -> bytes:
    """Return a line with one bit of its second byte changed."""
    return line[:1] + bytes([line[1] ^ 1]) + line[2:]


def test_one_flipped_bit_in_metrics_loses_all_lines_after_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "metrics.jsonl"
    before = file.read_bytes()
    lines = before.splitlines(keepends=True)
    lines[1] = flipped(lines[1])
    file.write_bytes(b"".join(lines))
    assert resumed(folder, STEPS + 2) == OK
    said = capsys.readouterr().err
    assert "metrics.jsonl is damaged: 1 of its lines cannot be read" in said
    assert f"metrics.jsonl has {len(lines) - 1} of the {len(lines)} lines" in said
    now = file.read_bytes().splitlines(keepends=True)
    assert now[: len(lines) - 1] == [lines[0], *lines[2:]]
    assert [r["step"] for r in read_metrics(file)][-2:] == [STEPS + 1, STEPS + 2]
    assert (folder / "metrics.jsonl.damaged").read_bytes() == b"".join(lines)
    assert resumed(folder, STEPS + 3) == OK
    assert "metrics.jsonl" not in capsys.readouterr().err


LINES = [f'{{"step": {n}, "loss": {n}.5}}\n'.encode() for n in range(1, 9)]


@pytest.mark.parametrize(
    ("damage", "kept", "words"),
    [
        (lambda x: x, 6, []),
        (lambda x: [*x, b'{"step": 9, "lo'], 6, []),
        (lambda x: [*x[:3], b"[" * 100_000 + b"\n", *x[3:]], 6, ["1 of its lines"]),
        (lambda x: [*x[:2], b'{"step": 90, "loss": 3}\n', *x[3:]], 5, ["is damaged", "5 of the 6"]),
        (lambda x: [*x[:2], b'{"step": 3, "loss": "a"}\n', *x[3:]], 5, ["1 of its lines"]),
        (lambda x: [*x[:2], b'{"step": 1e99, "loss": 3}\n', *x[3:]], 5, ["1 of its lines"]),
        (lambda x: [*x[:2], b"\xff" * (2**20 + 9) + b"\n", *x[2:]], 6, ["is damaged"]),
        (lambda x: [*x[:5], x[5][:-4]], 5, ["5 of the 6 lines"]),
        (lambda x: [b"garbage\n"], 0, ["is damaged", "0 of the 6 lines"]),
        (lambda x: [], 0, ["0 of the 6 lines"]),
    ],
    ids=["whole", "half", "deep", "step", "type", "float", "long", "short", "garbage", "empty"],
)
def test_only_later_lines_are_cut(
    tmp_path: Path, damage: Damage, kept: int, words: list[str]
) -> None:
    """A checkpoint of step 6 knows of six lines."""
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(before := b"".join(damage(LINES)))
    told: list[str] = []
    metrics = MetricsFile(file, keep=6, lines=6, told=told.append)
    metrics.close()
    assert metrics.lines == kept == len(read_metrics(file))
    assert len(told) >= bool(words) and bool(told) == bool(words)
    assert all(w in " ".join(told) for w in words)
    aside = tmp_path / "metrics.jsonl.damaged"
    assert aside.exists() == ("is damaged" in " ".join(told))
    assert not aside.exists() or aside.read_bytes() == before
    assert [p for p in tmp_path.iterdir() if p not in (file, aside)] == []


def test_metrics_that_are_missing_are_missed(tmp_path: Path) -> None:
    told: list[str] = []
    MetricsFile(tmp_path / "metrics.jsonl", keep=6, lines=6, told=told.append).close()
    assert "has 0 of the 6 lines" in told[0]


def test_an_error_of_a_folder_that_is_there_names_its_checkpoint(tmp_path: Path) -> None:
    save(STATE, tmp_path / "checkpoint", {})
    (tmp_path / "checkpoint" / "²").mkdir()
    said = str(write_error(OSError(28, "No space left on device", "x"), tmp_path))
    assert "the last checkpoint is 000005" in said and "help: make room" in said
