"""The capacity model: what it asks for, and that its page shows what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.capacity import Costs, Load, Plan, answer
from benchmarks.capacity_page import SITES, shown
from benchmarks.report import BEGIN, END
from tests.documents import DOCS, blocks, table

PAGE = DOCS / "explanation" / "capacity.md"
COSTS = Costs(
    delivery=5,
    parcel_out=50,
    parcel_in=50,
    idle=5,
    connect=1000,
    connection_memory=25,
    process_memory=50_000,
    redis_message=10,
    redis_copy=2,
    redis_join=20,
    redis_memory=0.2,
)
SITE = "--connections 8000 --rooms 1 --members 1 --messages 0"


def found(options: str, costs: Costs = COSTS) -> Plan:
    return answer(options, costs)[2]


def limit(options: str) -> str:
    load, limits, plan = answer(options, COSTS)
    return plan.limit(load, limits)


def test_a_small_site_takes_one_process_and_one_redis() -> None:
    load, limits, plan = answer(SITE, COSTS)
    assert (plan.processes, plan.shards(limits), plan.limit(load, limits)) == (1, 1, "none")


def test_processes_are_the_fewest_that_are_not_too_busy() -> None:
    options = "--connections 8000 --rooms 8 --members 1000 --messages 50"
    load, limits, plan = answer(options, COSTS)
    assert plan.processes > 2
    assert plan.fits(load, limits)
    assert not Plan.of(load, COSTS, plan.processes - 1).fits(load, limits)


def test_a_message_costs_its_sender_its_receivers_and_each_socket() -> None:
    plan = Plan.of(Load(0, 1, 1_000_000, 1, 0), COSTS, processes=4)
    assert plan.sockets == pytest.approx(5.0)
    assert plan.relay == pytest.approx((50 + 4 * 50) / 1e6)
    assert plan.redis == pytest.approx((10 + 4 * 2) / 1e6)


def test_a_room_of_two_is_in_less_than_two_processes_on_average() -> None:
    plan = Plan.of(Load(0, 1, 2, 1, 0), COSTS, processes=2)
    assert plan.relay == pytest.approx((50 + 1.5 * 50) / 1e6)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--connections 8000 --rooms 1 --members 8000 --messages 100", "CPU of sockets"),
        ("--connections 8000 --rooms 4000 --members 2 --messages 10", "CPU of relay"),
        ("--connections 8000 --rooms 1 --members 1 --messages 0 --connects 5000", "CPU of joins"),
        (f"{SITE} --memory 60", "memory"),
        (f"{SITE} --most 100", "connections"),
    ],
)
def test_the_limit_is_what_there_is_most_of(options: str, expected: str) -> None:
    assert limit(options) == expected


def test_redis_is_added_for_its_cpu_and_for_its_memory() -> None:
    many_messages = "--connections 8000 --rooms 4000 --members 2 --messages 50"
    many_rooms = "--connections 8000 --rooms 100000 --members 1 --messages 0 --redis-memory 1"
    for options in (many_messages, many_rooms):
        _, limits, plan = answer(options, COSTS)
        assert plan.shards(limits) > 1


def test_an_option_takes_the_place_of_a_measured_cost() -> None:
    options = "--connections 8000 --rooms 8 --members 1000 --messages 10"
    assert found(f"{options} --cost-delivery 50") == found(options, replace(COSTS, delivery=50))


def test_what_no_number_of_servers_can_do_is_an_error() -> None:
    with pytest.raises(ValueError, match="processes are not enough"):
        found(f"{SITE} --memory 50")
    with pytest.raises(ValueError, match="a room is in one Redis"):
        found("--connections 10 --rooms 1 --members 10 --messages 100000")


def test_the_page_shows_what_the_program_says() -> None:
    text = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
    assert text == shown(Costs.measured())
    assert any(options.startswith("--connections 10000000 ") for options in SITES)


def test_every_row_of_the_page_is_a_command_line() -> None:
    rows = table(PAGE.read_text(encoding="utf-8").partition(BEGIN)[2])
    for row in rows:
        plan = found(row["options"], Costs.measured())
        assert row["processes"] == f"{plan.processes:,}"


def test_the_command_that_the_page_begins_with_is_one_of_its_rows() -> None:
    (command,) = blocks(PAGE.read_text(encoding="utf-8"), "sh")
    program, _, options = command.strip().partition(" --")
    assert program == "python -m benchmarks.capacity"
    assert f"--{options}" in SITES
