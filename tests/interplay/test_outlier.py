"""Outlier detection and the panic threshold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interplay import ArgumentError, theory
from interplay.outlier import OutlierDetector, routable


def by_rate(hosts, **keywords):
    """Only the success rate counts, and every host may go."""
    keywords = {"minimum_hosts": 1, "max_ejection_percent": 100, **keywords}
    return OutlierDetector(hosts, consecutive=None, panic=0, **keywords)


def interval(detector, rates, start=0.0, requests=100):
    """One interval with these success rates, and the sweep at its end; returns who is in."""
    for host, rate in enumerate(rates):
        for i in range(requests):
            detector.record(host, i < round(rate * requests), start + 5)
    return detector.healthy(start + detector.interval)


def test_five_failures_in_a_row_eject():
    detector = OutlierDetector(10)
    for _ in range(4):
        detector.record(3, False, 1.0)
    assert all(detector.healthy(1.0))
    detector.record(3, False, 1.0)
    assert detector.healthy(1.0) == [host != 3 for host in range(10)]
    assert detector.routable(1.0) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_a_success_resets_the_streak():
    detector = OutlierDetector(10)
    for ok in ([False] * 4 + [True]) * 10:
        detector.record(3, ok, 1.0)
    assert all(detector.healthy(1.0))


def test_a_host_returns_and_each_time_stays_out_longer():
    detector = OutlierDetector(10, interval=10, base_ejection=30)
    now, out = 0.0, []
    for _ in range(3):
        for _ in range(5):
            detector.record(3, False, now)
        left = now
        while not detector.healthy(now)[3]:
            now += 0.5
        out.append(now - left)
    assert out == [30, 60, 90], "no interval in service between"


def test_a_good_host_is_forgiven():
    detector = OutlierDetector(10, interval=10, base_ejection=30)
    for _ in range(5):
        detector.record(3, False, 0.0)
    assert detector.hosts[3].ejections == 1
    for now in range(0, 60, 5):
        detector.healthy(float(now))
    assert detector.hosts[3].ejections == 0


def test_ejection_time_has_a_maximum():
    detector = OutlierDetector(10, base_ejection=30, max_ejection=40)
    detector.hosts[3].ejections = 9
    for _ in range(5):
        detector.record(3, False, 0.0)
    assert detector.hosts[3].until == 40


def test_the_streak_starts_again_after_an_ejection():
    detector = OutlierDetector(10, interval=10, base_ejection=30)
    for _ in range(5):
        detector.record(3, False, 0.0)
    assert detector.healthy(30.0)[3]
    detector.record(3, False, 31.0)
    assert detector.healthy(31.0)[3], "one more failure is not the fifth in a row"


def test_no_more_than_the_maximum_share_is_ejected():
    detector = OutlierDetector(10, max_ejection_percent=30)
    for host in range(10):
        for _ in range(5):
            detector.record(host, False, 0.0)
    assert detector.healthy(0.0).count(False) == 3


def test_ten_per_cent_of_five_hosts_is_none_unless_one_is_always_allowed():
    for always_one, out in [(False, 0), (True, 1)]:
        detector = OutlierDetector(5, always_one=always_one)
        for host in (1, 2):
            for _ in range(9):
                detector.record(host, False, 0.0)
        assert detector.healthy(0.0).count(False) == out


def test_no_verdict_without_a_minimum_volume():
    rates = [0.0] + [1.0] * 9
    assert interval(by_rate(10), rates, requests=99) == [True] * 10
    assert interval(by_rate(10), rates, requests=100) == [False] + [True] * 9


def test_no_verdict_without_a_minimum_of_hosts():
    assert all(interval(by_rate(6, minimum_hosts=7), [0.0] + [1.0] * 5))


def test_requests_count_for_one_interval_only():
    detector = by_rate(10)
    assert all(interval(detector, [0.0] + [1.0] * 9, requests=60))
    assert all(interval(detector, [0.0] + [1.0] * 9, start=10.0, requests=60))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.7, 0.93, 0.99, 1.0])
@pytest.mark.parametrize("hosts", [3, 7, 10])
def test_equal_hosts_are_never_ejected_however_bad(rate, hosts):
    """Not the first, not the last, and above all not all of them."""
    assert all(interval(by_rate(hosts), [rate] * hosts))


@given(st.lists(st.integers(0, 100), min_size=1, max_size=12))
def test_some_host_always_stays(rates):
    assert any(interval(by_rate(len(rates)), [rate / 100 for rate in rates]))


def test_a_lone_dead_host_is_ejected_from_five_hosts_on():
    assert theory.smallest_ejectable(1.9) == 5
    assert theory.smallest_ejectable(1.9 * 1.06) == 6, "the factor is near the edge: 2 needs six hosts"
    for hosts in range(2, 12):
        alive = interval(by_rate(hosts), [0.0] + [1.0] * (hosts - 1))
        assert alive[0] is (hosts < 5)
        assert all(alive[1:])


def test_dead_hosts_are_ejected_only_below_their_share():
    share = theory.ejectable_share(1.9)
    assert share == pytest.approx(0.217, abs=0.0005)
    for dead in range(1, 60):
        alive = interval(by_rate(100), [0.0] * dead + [1.0] * (100 - dead), requests=100)
        assert alive[:dead] == [dead / 100 >= share] * dead
        assert all(alive[dead:])


def test_both_rules_can_be_off():
    detector = OutlierDetector(5, consecutive=None, stdev_factor=None, max_ejection_percent=100)
    assert all(interval(detector, [0, 1, 1, 1, 1]))


def test_panic():
    assert routable([True, True, False, False], panic=0.5) == [0, 1], "exactly half is no panic"
    assert routable([True, False, False, False], panic=0.5) == [0, 1, 2, 3]
    assert routable([True, False, False, False], panic=0.0) == [0]
    assert routable([False, False], panic=0.0) == [0, 1], "somebody has to get the request"
    assert routable([]) == []


def test_a_detector_panics_by_itself():
    detector = OutlierDetector(4, max_ejection_percent=100, panic=0.5)
    for host in range(3):
        for _ in range(5):
            detector.record(host, False, 0.0)
    assert detector.healthy(0.0) == [False, False, False, True]
    assert detector.routable(0.0) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("hosts is 0", lambda: OutlierDetector(0)),
        ("consecutive is 0", lambda: OutlierDetector(3, consecutive=0)),
        ("stdev_factor is 0", lambda: OutlierDetector(3, stdev_factor=0)),
        ("interval is 0", lambda: OutlierDetector(3, interval=0)),
        ("max_ejection is 5", lambda: OutlierDetector(3, max_ejection=5)),
        ("max_ejection_percent is 101", lambda: OutlierDetector(3, max_ejection_percent=101)),
        ("panic is 50", lambda: OutlierDetector(3, panic=50)),
        ("panic is 50", lambda: routable([True], 50)),
    ],
)
def test_wrong_arguments(words, build):
    with pytest.raises(ArgumentError, match=words):
        build()
