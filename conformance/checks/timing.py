"""The 3 seconds of the contract, under a steady load."""

import asyncio

from conformance.kit import Kit
from conformance.reading import Answer
from conformance.requirement import NotChecked, requirement

DEADLINE_S = 3.0


@requirement(
    "C-001",
    title="An adjust is answered within 3 seconds, under a steady load, too",
    rule="The last byte of the reply to an adjust arrives at most 3 seconds after the send of the request has begun.",
    why=(
        "After 3 seconds the platform cancels the order, whatever the external system does later. "
        "Each late reply is a lost order, and one more cancel."
    ),
    source="docs/contract.md#deadline",
    check=(
        "Sends plain adjusts at a steady rate (`--load-per-s`) for a while (`--load-s`), without waiting for replies, "
        "and measures each. On failure it shows the percentiles."
    ),
    alone=True,
)
async def answered_in_time(kit: Kit) -> None:
    """Check C-001."""
    target = kit.target
    if target.exchange_limit_s < DEADLINE_S:
        message = f"`--exchange-limit-s` must be at least {DEADLINE_S:g}"
        raise NotChecked(message)
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number in range(round(target.load_per_s * target.load_s)):
            tasks.append(group.create_task(kit.adjust(kit.order(), label=f"adjust {number + 1} of the load")))
            await kit.pause(1 / target.load_per_s)
    answers = [task.result() for task in tasks]
    late = [answer for answer in answers if not _is_in_time(answer)]
    kit.expect(
        not late,
        f"every adjust: expected a reply within {DEADLINE_S:g} s",
        f"{len(late)} of {len(answers)} without one; first: {_described(late[0]) if late else ''}; {_times(answers)}",
    )


def _is_in_time(answer: Answer) -> bool:
    return answer.http is not None and answer.exchange.elapsed_s <= DEADLINE_S


def _described(answer: Answer) -> str:
    return answer.problem if answer.http is None else f"a reply after {answer.exchange.elapsed_s:.3f} s"


def _times(answers: list[Answer]) -> str:
    times = sorted(answer.exchange.elapsed_s for answer in answers if answer.http is not None)
    if not times:
        return "no reply at all"
    shown = ((f"p{percent}", times[int(percent / 100 * (len(times) - 1))]) for percent in (50, 95, 99))
    return ", ".join([*(f"{name} {value:.3f} s" for name, value in shown), f"max {times[-1]:.3f} s"])
