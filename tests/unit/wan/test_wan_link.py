from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.errors import InputError
from malha.lab.wan.link import Link
from malha.lab.wan.link_table import LinkTable
from malha.lab.wan.settings import LinkSettings, Nat
from malha.lab.wan.stats import DropCause, LinkStats

MS = 1_000_000


def schedule_all(link: Link, count: int, *, every_ns: int = MS) -> list[int | None]:
    return [link.schedule(number * every_ns, 1000) for number in range(count)]


def test_a_plain_link_delays_each_packet_alike() -> None:
    link = Link(LinkSettings(delay_ms=24.5), "")
    assert schedule_all(link, 3) == [24_500_000, 25_500_000, 26_500_000]
    assert link.read_stats() == LinkStats(3, 3000, {})


def test_losses_come_at_their_rate() -> None:
    link = Link(LinkSettings(loss=0.1), "seed")
    schedule_all(link, 20_000)
    # Four standard deviations of a binomial of 20,000 at 0.1 are 170.
    assert abs(link.drops[DropCause.LOSS] - 2000) < 170
    assert link.packets + link.drops[DropCause.LOSS] == 20_000


def test_one_seed_one_sequence_of_losses() -> None:
    lossy = LinkSettings(loss=0.3, jitter_ms=1)
    first, again, other = (schedule_all(Link(lossy, seed), 200) for seed in ("a", "a", "b"))
    assert first == again
    assert first != other


def test_a_loss_of_one_is_a_loss_of_all() -> None:
    assert schedule_all(Link(LinkSettings(loss=1), ""), 100) == [None] * 100


@given(st.integers(0, 100), st.floats(0, 50), st.floats(0, 80))
def test_jitter_stays_in_its_range_and_in_order(
    seed: int, delay_ms: float, jitter_ms: float
) -> None:
    link = Link(LinkSettings(delay_ms=delay_ms, jitter_ms=jitter_ms), str(seed))
    dues = [due for due in schedule_all(link, 50) if due is not None]
    assert dues == sorted(dues)
    for number, due in enumerate(dues):
        assert due >= number * MS
        # Order can hold a packet back, but never beyond the latest of those before it.
        assert due <= number * MS + (delay_ms + jitter_ms) * MS + 2


def test_jitter_spreads_both_ways() -> None:
    link = Link(LinkSettings(delay_ms=50, jitter_ms=10), "seed")
    waits = [link.schedule(number * 1000 * MS, 100) for number in range(1000)]
    spread = [due - number * 1000 * MS for number, due in enumerate(waits) if due is not None]
    assert 40 * MS <= min(spread) < 41 * MS
    assert 59 * MS < max(spread) <= 60 * MS


def test_a_rate_spaces_packets_by_their_size() -> None:
    link = Link(LinkSettings(delay_ms=5, rate_mbit=8), "")  # 1,000 bytes take 1 ms.
    assert [link.schedule(0, size) for size in (1000, 1000, 500)] == [6 * MS, 7 * MS, 7_500_000]
    # An idle link sends at once: rate is no debt.
    assert link.schedule(100 * MS, 1000) == 106 * MS


def test_the_queue_holds_as_much_as_it_says() -> None:
    link = Link(LinkSettings(rate_mbit=8, queue_ms=10), "")
    dues = [link.schedule(0, 1000) for _ in range(30)]
    assert dues == [number * MS for number in range(1, 12)] + [None] * 19
    assert link.drops == {DropCause.QUEUE: 19}
    assert link.schedule(5 * MS, 1000) == 12 * MS


@given(st.floats(1, 1000), st.integers(40, 1500))
def test_a_saturated_link_carries_its_rate(rate_mbit: float, size: int) -> None:
    link = Link(LinkSettings(rate_mbit=rate_mbit, queue_ms=1), "")
    step_ns = round(size * 8000 / rate_mbit / 2)
    count = 400
    arrived = [due for n in range(count) if (due := link.schedule(n * step_ns, size)) is not None]
    carried_bits = len(arrived) * size * 8
    assert carried_bits * 1000 / arrived[-1] == pytest.approx(rate_mbit, rel=0.02)


def test_cuts_are_counted_by_cause_and_undone_apart() -> None:
    link = Link(LinkSettings(up=False), "")
    assert link.schedule(0, 10) is None
    link.settings = LinkSettings()
    link.partitioned = True
    assert link.schedule(0, 10) is None
    link.partitioned = False
    assert link.schedule(0, 10) == 0
    assert link.drops == {DropCause.DOWN: 1, DropCause.PARTITION: 1}


def test_a_shorter_path_is_not_held_back_by_the_longer_one() -> None:
    link = Link(LinkSettings(delay_ms=100, jitter_ms=1), "")
    link.schedule(0, 10)
    link.settings = LinkSettings(delay_ms=10)
    assert link.schedule(MS, 10) == 11 * MS
    assert link.packets == 2


class TestLinkTable:
    def test_declared_wins_over_default_before_and_after_first_use(self) -> None:
        table = LinkTable(0)
        table.set_one_way("a", "b", LinkSettings(delay_ms=1))
        used_before = table.find("c", "d")
        table.set_default(LinkSettings(delay_ms=7))
        delays = {pair: table.find(*pair).settings.delay_ms for pair in ("ab", "ba", "cd")}
        assert delays == {"ab": 1, "ba": 7, "cd": 7}
        assert table.find("c", "d") is used_before

    def test_a_change_touches_named_fields_only(self) -> None:
        table = LinkTable(0)
        table.set_one_way("a", "b", LinkSettings(delay_ms=3, loss=0.5))
        table.change("a", "b", {"loss": 0})
        assert table.find("a", "b").settings == LinkSettings(delay_ms=3)
        with pytest.raises(InputError, match="no latency"):
            table.change("a", "b", {"latency": 1})
        with pytest.raises(InputError, match="loss 2"):
            table.change("a", "b", {"loss": 2})

    def test_partitions_cut_both_ways_until_healed(self) -> None:
        table = LinkTable(0)
        early = table.find("a", "c")
        table.partition(["a", "b"], ["c"])
        assert early.partitioned
        assert table.find("c", "b").partitioned
        assert not table.find("a", "b").partitioned
        table.heal(["a"], ["c"])
        assert not early.partitioned
        assert table.find("b", "c").partitioned


@pytest.mark.parametrize(
    "fields",
    [
        {"delay_ms": -1},
        {"delay_ms": float("nan")},
        {"delay_ms": float("inf")},
        {"delay_ms": "5"},
        {"jitter_ms": -0.1},
        {"loss": 1.01},
        {"loss": True},
        {"rate_mbit": 0},
        {"queue_ms": None},
        {"mtu": 67},
        {"mtu": 65536},
        {"mtu": 1400.5},
    ],
)
def test_impossible_links_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(fields))):
        LinkSettings(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields", [{"public_address": "2001:db8::1"}, {"timeout_s": 0}, {"timeout_s": -1}]
)
def test_impossible_nats_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(fields))):
        replace(Nat("192.0.2.1"), **fields)  # type: ignore[arg-type]


def test_settings_survive_the_control_channel() -> None:
    settings = LinkSettings(1, 2, 0.3, 4.5, 6, 1400, False, False)
    assert LinkSettings(*settings.to_row()) == settings  # type: ignore[arg-type]
