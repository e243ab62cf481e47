"""Each line of a log is told once, through rotation, truncation and restarts; what comes too fast is counted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from probes.log_file import Parameters, read_log
from probes.visit import Visit
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from pathlib import Path


class Log:
    """A log file of a program, and an agent that follows it."""

    def __init__(self, folder: Path, **parameters: Any) -> None:
        self.folder = folder
        self.file = folder / "app.log"
        self.parameters = Parameters(path=str(self.file), name="app", **parameters)
        self.begin()

    def begin(self) -> None:
        """Begin anew, as an agent does that was started again."""
        self.reader = Reader(read_log, parameters=self.parameters, visit=self.visit(self.folder / "state"))

    def visit(self, folder: Path) -> Visit:
        return Visit(folder=folder, logs=[self.folder])

    def write(self, text: str) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(text)

    def lines(self, seconds: float = 10.0) -> list[float | str | None]:
        self.reader.read(seconds)
        return self.reader.all_of("log.line")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(tmp_path)
    log.write("old\n")
    assert log.lines() == []
    return log


def test_new_lines_come_once_and_a_line_only_when_it_is_complete(log: Log) -> None:
    log.write("one\ntwo\r\nthr")
    assert log.lines() == ["one", "two"]
    log.write("ee\n")
    assert log.lines() == ["three"]
    assert log.lines() == []


def test_a_file_may_be_read_from_its_start(tmp_path: Path) -> None:
    log = Log(tmp_path, from_start=True)
    log.write("old\n")
    assert log.lines() == ["old"]


def test_a_new_line_is_news_and_a_missing_file_is_left_to_the_next_due_read(log: Log) -> None:
    assert not log.reader.has_news()
    log.write("one\n")
    assert log.reader.has_news()
    log.lines()
    assert not log.reader.has_news()
    log.file.unlink()
    assert not log.reader.has_news()
    assert log.lines() == []
    assert log.reader.failures == [f"{log.file}: No such file or directory"]


def test_what_could_not_be_stored_is_read_again(log: Log) -> None:
    log.write("one\n")
    log.reader.is_stored = False
    assert log.lines() == ["one"]
    log.reader.is_stored = True
    assert log.lines() == ["one"]
    assert log.lines() == []


def test_a_restart_goes_on_where_the_last_stored_line_ended(log: Log) -> None:
    log.write("one\n")
    assert log.lines() == ["one"]
    log.write("two\n")
    log.reader.is_stored = False
    assert log.lines() == ["two"]
    log.begin()
    log.write("three\n")
    assert log.lines() == ["two", "three"]


def test_what_was_remembered_in_a_damaged_file_is_forgotten(log: Log) -> None:
    state = next((log.folder / "state").iterdir())
    state.write_text('{"position": 7}')
    log.begin()
    log.write("one\n")
    assert log.lines() == []
    log.write("two\n")
    assert log.lines() == ["two"]


def test_a_rotated_file_is_read_to_its_end_before_the_new_one(log: Log) -> None:
    log.write("one\n")
    assert log.lines() == ["one"]
    log.write("two\nlast without an end")
    log.file.rename(log.folder / "app.log.1")
    log.write("three\n")
    assert log.lines() == ["two", "last without an end", "three"]


def test_while_the_new_file_is_empty_the_writer_may_still_hold_the_old_one(log: Log) -> None:
    with log.file.open("a") as writer:
        log.file.rename(log.folder / "app.log.1")
        log.file.touch()
        writer.write("one\n")
        writer.flush()
        assert log.lines() == ["one"]
        writer.write("two\n")
    assert log.lines() == ["two"]
    log.write("three\n")
    assert log.lines() == ["three"]


def test_files_that_came_and_went_while_nobody_looked_are_read_too(log: Log) -> None:
    for number in (1, 2, 3):
        log.write(f"line {number}\n")
        for old in (2, 1):
            if (path := log.folder / f"app.log.{old}").exists():
                path.rename(log.folder / f"app.log.{old + 1}")
        log.file.rename(log.folder / "app.log.1")
    log.write("line 4\n")
    (log.folder / "app.log.gz").write_text("compressed\n")
    (log.folder / "app.log.9").symlink_to("nothing")
    log.begin()
    assert log.lines() == ["line 1", "line 2", "line 3", "line 4"]


def test_a_truncated_file_is_read_from_its_start(log: Log) -> None:
    log.write("one\ntwo\n")
    assert len(log.lines()) == 2
    log.file.write_text("new\n")
    assert log.lines() == ["new"]


def test_a_file_written_anew_and_longer_is_known_by_its_beginning(log: Log) -> None:
    log.write("one\n")
    log.lines()
    log.file.write_text("something else entirely\nand more\n")
    assert log.lines() == ["something else entirely", "and more"]


def test_a_file_whose_predecessor_is_gone_says_that_lines_may_be_missing(log: Log) -> None:
    keep = log.folder / "elsewhere"
    keep.mkdir()
    log.file.rename(keep / "gone")
    log.write("new\n")
    assert log.lines() == ["new"]
    assert log.reader.failures == [
        f"{log.file} was replaced and the file before it is gone: its last lines may be missing"
    ]
    log.lines()
    assert log.reader.failures == []


def test_only_lines_that_match_come_with_what_was_to_be_taken_from_them(tmp_path: Path) -> None:
    log = Log(tmp_path, pattern=r"took (?P<value>[\d.]+) s: (?P<text>.*)", exclude="debug")
    log.write("")
    log.lines()
    log.write("GET took 1.5 s: /a\nnothing\ndebug took 9 s: /b\ntook . s: /c\n")
    values = log.reader.read()
    assert log.reader.all_of("log.line") == ["/a", "/c"]
    assert log.reader.all_of("log.value") == [1.5]
    assert (values["log.matched[app]"], values["log.skipped[app]"]) == (2.0, 0.0)


def test_lines_that_come_too_fast_are_counted_not_published(tmp_path: Path) -> None:
    log = Log(tmp_path, lines_per_second=5)
    log.write("")
    log.lines()
    log.write("x\n" * 80)
    values = log.reader.read()
    assert len(log.reader.all_of("log.line")) == 50
    assert (values["log.matched[app]"], values["log.skipped[app]"]) == (80.0, 30.0)
    log.write("y\n" * 20)
    assert len(log.lines(seconds=1.0)) == 5


def test_a_line_without_end_is_split_and_what_is_no_text_is_shown_as_such(log: Log) -> None:
    log.write("x" * 100_000)
    assert [len(str(line)) for line in log.lines()] == [4000]
    with log.file.open("ab") as file:
        file.write(b"\n\xff\xfe caf\xc3\xa9\n")
    assert str(log.lines()[-1]).endswith(" café")


def test_many_megabytes_are_read_in_one_visit(log: Log) -> None:
    log.write(("x" * 99 + "\n") * 30_000 + "needle\n")
    log.reader.parameters = Parameters(path=str(log.file), name="app", pattern="needle")
    assert log.lines() == ["needle"]


def test_a_folder_that_cannot_be_written_is_told_and_the_lines_come_all_the_same(log: Log) -> None:
    log.reader.visit = log.visit(log.file / "below a file")
    log.lines()
    log.write("one\n")
    assert log.lines() == ["one"]
    assert "cannot be written, so lines may come twice" in log.reader.failures[0]


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:

    log = Log(tmp_path)
    if kind == "pipe":
        os.mkfifo(log.file)
    else:
        log.file.mkdir()
    assert log.lines() == []
    assert log.reader.failures == [f"{log.file}: is no regular file"]


def test_only_logs_are_read_that_this_machine_allows(log: Log) -> None:
    for path, reason in (
        ("/etc/passwd", "add it, or its folder, to `logs` in the agent.toml of this machine"),
        (f"{log.folder}/../passwd", "write its absolute path, without .. in it"),
    ):
        reader = Reader(read_log, parameters=Parameters(path=path), visit=log.visit(log.folder / "state"))
        assert reader.read() == {}
        assert reader.failures == [f"{path} may not be read: {reason}"]


def test_a_link_among_the_logs_leads_nowhere_else(tmp_path: Path) -> None:
    log, elsewhere = Log(tmp_path / "logs", from_start=True), tmp_path / "secret"
    log.folder.mkdir()
    elsewhere.write_text("a secret\n")
    log.file.symlink_to(elsewhere)
    assert log.lines() == []
    (failure,) = log.reader.failures
    assert f"(a link to {elsewhere}) may not be read" in failure
    log.file.unlink()
    log.write("one\n")
    assert log.lines() == ["one"]
    log.file.rename(log.folder / "app.log.2")
    (log.folder / "app.log.1").symlink_to(elsewhere)
    elsewhere.write_text("a secret\n")  # younger than the rotated log
    log.write("two\n")
    assert [*log.lines(), *log.lines()] == ["two"]


def test_a_link_to_another_log_that_may_be_read_is_followed(tmp_path: Path) -> None:
    log = Log(tmp_path, from_start=True)
    (tmp_path / "today").write_text("one\n")
    log.file.symlink_to("today")
    assert log.lines() == ["one"]


@pytest.mark.trial("S-10")
def test_a_hostile_line_does_not_hold_up_what_comes_after_it(tmp_path: Path) -> None:
    log = Log(tmp_path, from_start=True, pattern=r"^(\w+\s?)*$", exclude="(x+x+)+y")
    log.write("word " * 700 + "!\n" + "x" * 4000 + "\nfine\n")
    assert log.lines() == ["x" * 4000, "fine"]
