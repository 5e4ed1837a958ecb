"""The comparison of a document with what its commands print notices what differs, and only that."""

from pathlib import Path

import pytest

from tests.support.documents import Block, Shape, blocks

ID, OTHER_ID = "fd08be82-9520-5b71-ba3b-a1b8954bf484", "0b6ec0ce-1111-5b71-ba3b-a1b8954bf484"


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("acceptedAt\t2026-11-24T12:03:06.754Z", "acceptedAt\t2027-01-02T03:04:05.678Z\n"),
        ("after 32 ms, then 0.27 s", "after 5 ms, then 12 s\n"),
        ("  09:44:55  01 done", " 23:01:02 01 done\n"),
        ("state\tABORTED\n…", "state\tABORTED\nmore\nand more\n"),
        ("…\nlast", "last\n"),
        ('["ADJUST",…]', '["ADJUST",3002]\n'),
        ("cancelResult\t", "cancelResult\t\n"),
        (f"batch {ID}\n{ID} done", f"batch {OTHER_ID}\n{OTHER_ID} done\n"),
    ],
)
def test_what_may_differ(shown: str, printed: str) -> None:
    assert Shape().fits(shown.splitlines(), printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("amount\t12.50", "amount\t12.51\n"),
        ("state\tABORTED", "state\tCANCELLED\n"),
        ("count\t3", "count\t4\n"),
        ("12.5 a", "12x5 a\n"),
        ("one", "one\ntwo\n"),
        ("one\ntwo", "one\n"),
        ("after 32 ms", "after 32 min\n"),
        ("acceptedAt\t2026-11-24T12:03:06.754Z", "acceptedAt\t\n"),
        (f"batch {ID}\n{ID} done", f"batch {OTHER_ID}\n{ID} done\n"),
    ],
)
def test_what_may_not_differ(shown: str, printed: str) -> None:
    assert not Shape().fits(shown.splitlines(), printed)


def test_an_id_that_was_printed_is_the_one_that_is_typed_and_shown_later() -> None:
    shape = Shape()
    assert shape.fits([f"batch {ID}"], f"batch {OTHER_ID}\n")
    assert shape.typed(f"settlement batch-retry status {ID}") == f"settlement batch-retry status {OTHER_ID}"
    assert shape.fits([f"id {ID}"], f"id {OTHER_ID}\n")
    assert not shape.fits([f"id {ID}"], f"id {ID}\n")


def test_a_command_ends_where_its_quotation_and_its_last_backslash_do() -> None:
    lines = [
        "$ curl -d '{",
        '  "a": "$ not a command"}\' | jq .',
        "{}",
        "$ settlement submit \\",
        "    --company 7",
        "no",
    ]
    commands = Block(Path("page.md"), 1, "console", lines).commands()
    assert [(each.text.count("\n"), each.output) for each in commands] == [(1, ["{}"]), (1, ["no"])]


def test_a_block_knows_why_it_is_not_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: needs Docker -->\n```sh\ndocker ps\n```\n\n```console\n$ ls\n```\n")
    assert [(each.language, each.not_run) for each in blocks(page)] == [("sh", "needs Docker"), ("console", None)]


def test_the_first_line_that_does_not_fit_is_named() -> None:
    assert Shape().first_misfit(["a 1", "…", "c 3"], "a 1\nb\nc 4\n") == "c 3"
    assert Shape().first_misfit(["a 1"], "a 1\nb\n") == "the end"
