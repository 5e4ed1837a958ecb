"""The reference broker of docs/brokers.md keeps the money right, on SQLite and on PostgreSQL."""

import ast
import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from examples.broker.books import Books
from tests.support.documents import ROOT
from tests.support.orders import new_number
from tests.support.polling import until
from tests.support.postgres import Postgres
from tests.support.reference_broker import (
    NOW,
    PARALLEL,
    Broker,
    adjust_body,
    at_once,
    running,
)

BROKER = ROOT / "examples"
LINES_MAX = 300


async def test_an_adjust_and_its_cancel_move_the_balance_there_and_back(broker: Broker, number: str) -> None:
    assert await broker.adjust(number) == "0"
    assert await broker.balance(number) == Decimal("12.5")
    assert [await broker.cancel(number), await broker.cancel(number), await broker.cancel(number, "D")] == ["0"] * 3
    assert await broker.balance(number) == 0


async def test_a_repeat_gets_the_same_answer_even_after_the_cancel(broker: Broker, number: str) -> None:
    assert [await broker.adjust(number), await broker.cancel(number), await broker.adjust(number)] == ["0", "0", "0"]
    assert await broker.balance(number) == 0


async def test_the_same_adjust_twenty_times_at_once_is_applied_once(broker: Broker, number: str) -> None:
    assert await at_once(*(broker.adjust(number) for _ in range(PARALLEL))) == {"0": PARALLEL}
    assert await broker.balance(number) == Decimal("12.5")


async def test_the_same_cancel_and_others_of_one_adjust_at_once_give_back_once(broker: Broker, number: str) -> None:
    await broker.adjust(number)
    same = [broker.cancel(number) for _ in range(PARALLEL // 2)]
    others = [broker.cancel(number, f"D{each}") for each in range(PARALLEL // 2)]
    assert await at_once(*same, *others) == {"0": PARALLEL}
    assert await broker.balance(number) == 0


async def test_different_adjusts_of_one_customer_at_once_are_all_applied(broker: Broker, number: str) -> None:
    numbers = [f"{number}-{each}" for each in range(PARALLEL)]
    sent = [broker.adjust(each, thirdServerCode=number, amount="0.1") for each in numbers]
    assert await at_once(*sent) == {"0": PARALLEL}
    assert await broker.balance(number) == 2


@pytest.mark.parametrize("seed", range(3))
async def test_a_cancel_that_races_its_adjust_ends_with_nothing_moved(broker: Broker, number: str, seed: int) -> None:
    """Whichever comes first: applied and given back, or burnt and refused. Never refused and given back."""
    chance = random.Random(seed)  # noqa: S311 - a seeded order, no secret
    numbers = [f"{number}-{each}" for each in range(PARALLEL)]
    acts = [(act, each) for each in numbers for act in (broker.adjust, broker.cancel)]
    chance.shuffle(acts)
    answers = await asyncio.gather(*(act(each) for act, each in acts))
    codes = {(act.__name__, each): code for (act, each), code in zip(acts, answers, strict=True)}
    for each in numbers:
        ended = codes["adjust", each], codes["cancel", each]
        assert ended in {("0", "0"), ("US_0000403", "US_0000002")}
        assert await broker.balance(each) == 0
        assert await broker.cancel(each, "again") == ("0" if ended[0] == "0" else "US_0000001")


async def test_an_adjust_that_comes_after_its_cancel_is_refused_for_good(broker: Broker, number: str) -> None:
    assert await broker.cancel(number) == "US_0000002"
    assert [await broker.adjust(number), await broker.adjust(number, amount="1")] == ["US_0000403"] * 2
    assert [await broker.cancel(number), await broker.cancel(number, "D")] == ["US_0000002", "US_0000001"]
    assert await broker.balance(number) == 0


async def test_a_cancel_of_an_adjust_in_process_waits_for_its_end(broker: Broker, number: str) -> None:
    """It is never "not found" with the adjust applied later: if the adjust arrives second, it is refused."""
    slow = f"slow-{number}"
    adjust = asyncio.create_task(broker.adjust(slow))
    await asyncio.sleep(0.5)
    ended = await broker.cancel(slow), await adjust
    assert ended in {("0", "0"), ("US_0000002", "US_0000403")}
    assert await broker.balance(slow) == 0


async def test_an_adjust_of_a_closed_account_is_received_and_not_applied(broker: Broker, number: str) -> None:
    closed = f"closed-{number}"
    assert [await broker.adjust(closed), await broker.adjust(closed)] == ["US_0000402"] * 2
    assert [await broker.cancel(closed), await broker.cancel(closed, "D")] == ["US_0000001"] * 2
    assert await broker.balance(closed) == 0


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("thirdServerCode", "another"),
        ("userName", "user-2"),
        ("currency", "EUR"),
        ("bizType", 2),
        ("operationType", "NORMAL_CLOSE"),
        ("amount", "12.51"),
        ("orderId", 8),
    ],
)
async def test_another_order_under_the_same_number_is_refused(
    broker: Broker, number: str, field: str, other: object
) -> None:
    assert [await broker.adjust(number), await broker.adjust(number, **{field: other})] == ["0", "US_0000409"]
    assert [await broker.balance(number), await broker.balance("another")] == [Decimal("12.5"), 0]


async def test_another_company_is_another_order(broker: Broker, number: str) -> None:
    assert await broker.adjust(number) == "0"
    assert (await broker.post("/", adjust_body(number), companyId="8"))["code"] == "US_0000409"


async def test_a_repeat_may_differ_where_the_order_does_not(broker: Broker, number: str) -> None:
    changes = {"requestTime": NOW + 9, "ip": "2001:db8::1", "metadata": "{}", "amount": "12.5", "amountDigits": 1}
    assert [await broker.adjust(number), await broker.adjust(number, **changes, later="unknown")] == ["0", "0"]
    assert await broker.balance(number) == Decimal("12.5")


@pytest.mark.parametrize(
    ("field", "other"),
    [("amount", "12.51"), ("currency", "EUR"), ("userName", "user-2"), ("thirdServerCode", "x"), ("orderId", 8)],
)
async def test_a_cancel_that_contradicts_its_adjust_changes_nothing(
    broker: Broker,
    number: str,
    field: str,
    other: Any,  # noqa: ANN401 - any wrong value
) -> None:
    """It is not recorded, so that the correct cancel may use the same number."""
    await broker.adjust(number)
    assert await broker.cancel(number, **{field: other}) == "US_0000422"
    assert await broker.balance(number) == Decimal("12.5")
    assert await broker.cancel(number) == "0"


async def test_a_number_of_a_cancel_undoes_one_adjust_only(broker: Broker, number: str) -> None:
    other = f"{number}-2"
    await at_once(broker.adjust(number), broker.adjust(other))
    assert await broker.cancel(number) == "0"
    assert await broker.cancel(other, requestUniqueNo=f"C-{number}") == "US_0000409"
    assert await broker.cancel_operation(other, txid=f"C-{number}") == "US_0000409"
    assert await broker.balance(other) == Decimal("12.5")


@pytest.mark.parametrize(("biz_type", "right", "wrong"), [(1, 1, 2), (2, 2, 1), (12, 1, 2)])
async def test_the_deprecated_cancel_follows_the_same_rules(
    broker: Broker, number: str, biz_type: int, right: int, wrong: int
) -> None:
    await broker.adjust(number, bizType=biz_type)
    assert await broker.cancel_operation(number, reverse_type=wrong) == "US_0000422"
    assert await broker.cancel_operation(number, username="user-2", reverse_type=right) == "US_0000422"
    assert [await broker.cancel_operation(number, reverse_type=right) for _ in range(2)] == ["0", "0"]
    assert await broker.balance(number) == 0
    assert await broker.cancel_operation(f"{number}-unseen") == "US_0000002"
    assert await broker.adjust(f"{number}-unseen") == "US_0000403"


async def test_amounts_are_exact(broker: Broker, number: str) -> None:
    """A tenth three times, 18 decimals, neighbours above 2^53, and a balance of 59 digits."""
    amounts = ["0.1", "0.1", "0.1", "0.000000000000000001", "9007199254740993", "9" * 40]
    for index, amount in enumerate(amounts):
        given: dict[str, Any] = {"thirdServerCode": number, "amount": amount, "amountDigits": 18}
        assert await broker.adjust(f"{number}-{index}", **given) == "0"
    assert f"{await broker.balance(number):f}" == "10000000000000000000000009007199254740992.300000000000000001"
    rest: dict[str, Any] = {"thirdServerCode": number, "amountDigits": 18}
    assert await broker.cancel(f"{number}-4", **rest, amount="9007199254740992") == "US_0000422"
    for index, amount in enumerate(amounts):
        assert await broker.cancel(f"{number}-{index}", **rest, amount=amount) == "0"
    assert await broker.balance(number) == 0


async def test_a_loss_beyond_the_deposit_is_deducted_and_given_back(broker: Broker, number: str) -> None:
    loss = {"operationType": "ABNORMAL_OVERTRADING", "amount": "-12.50"}
    assert await broker.adjust(number, **loss) == "0"
    assert await broker.balance(number) == Decimal("-12.5")
    assert await broker.cancel(number) == "0"
    assert await broker.balance(number) == 0


async def test_a_crash_in_the_middle_of_an_adjust_leaves_all_of_it_or_nothing(
    database_url: str, number: str, tmp_path: Path
) -> None:
    """A kill -9 while one adjust is in process and others are on their way; then the books must be right."""
    numbers = [f"{number}-{each}" for each in range(PARALLEL)]
    slow = f"slow-{number}"
    async with running(database_url, tmp_path) as broker:
        sent = [asyncio.create_task(broker.adjust(each, thirdServerCode=number)) for each in numbers]
        await until(lambda: _one_of(sent), what="an answer")
        sent.append(asyncio.create_task(broker.adjust(slow)))
        await asyncio.sleep(0.5)
        await broker.process.kill()
        answers = await asyncio.gather(*sent, return_exceptions=True)
        await broker.process.start()
        answered = [each for each, answer in zip(numbers, answers, strict=False) if answer == "0"]
        assert await broker.balance(number) >= Decimal("12.5") * len(answered)
        ended = await broker.cancel(slow), await broker.adjust(slow)
        assert ended in {("US_0000002", "US_0000403"), ("0", "0")}
        codes = {each: await broker.cancel(each, thirdServerCode=number) for each in numbers}
        assert {codes[each] for each in answered} == {"0"}
        assert set(codes.values()) <= {"0", "US_0000002"}
        assert [await broker.balance(number), await broker.balance(slow)] == [0, 0]


async def test_a_crash_of_the_database_leaves_all_of_an_adjust_or_nothing(
    postgres: Postgres, number: str, tmp_path: Path
) -> None:
    """A kill -9 of PostgreSQL under load: what was answered `0` is there, and each cancel says what it found."""
    numbers = [f"{number}-{each}" for each in range(3 * PARALLEL)]
    async with running(postgres.create_database(new_number("broker")), tmp_path) as broker:
        sent = [asyncio.create_task(broker.adjust(each, thirdServerCode=number)) for each in numbers]
        await until(lambda: _one_of(sent), what="an answer")
        await asyncio.to_thread(postgres.kill9)
        answers = await asyncio.gather(*sent, return_exceptions=True)
        await asyncio.to_thread(postgres.start)
        answered = {each for each, answer in zip(numbers, answers, strict=True) if answer == "0"}
        before = await broker.balance(number)
        codes = {each: await broker.cancel(each, thirdServerCode=number) for each in numbers}
        reversed_ = {each for each, code in codes.items() if code == "0"}
        assert answered <= reversed_
        assert {codes[each] for each in numbers if each not in reversed_} <= {"US_0000002"}
        assert before == Decimal("12.5") * len(reversed_)
        assert await broker.balance(number) == 0


async def _one_of(sent: list[asyncio.Task[str]]) -> bool:
    return any(each.done() for each in sent)


async def test_two_processes_on_one_database_apply_once(
    database_url: str, number: str, tmp_path: Path, broker: Broker
) -> None:
    """The database decides who came first, not the memory of a process."""
    async with running(database_url, tmp_path) as second:
        both = [sender.adjust(number) for sender in (broker, second) for _ in range(PARALLEL // 2)]
        assert await at_once(*both) == {"0": PARALLEL}
        assert await at_once(broker.cancel(number), second.cancel(number, "D")) == {"0": 2}
        assert await second.balance(number) == 0


def test_several_processes_may_start_at_once_on_an_empty_database(empty_database: Callable[[], str]) -> None:
    url = empty_database()
    with ThreadPoolExecutor(PARALLEL) as threads:
        opened = [threads.submit(Books, url) for _ in range(PARALLEL)]
    for books in opened:
        assert books.result().balance("nobody", "USD") == "0"
        books.result().engine.dispose()


def test_it_is_small_and_imports_nothing_of_this_repository() -> None:
    files = sorted(BROKER.rglob("*.py"))
    assert sum(len(file.read_text().splitlines()) for file in files) <= LINES_MAX
    ours = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/*.py")}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1
                names = [node.module or ""] if node.level == 0 else []
            assert not {name.partition(".")[0] for name in names} & ours
