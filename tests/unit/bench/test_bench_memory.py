"""The growth of memory is that of the second half of a run, for each 1,000 settlements."""

from bench.memory import Sample, growth_kib


def samples(*mib: float) -> list[Sample]:
    """Return one sample for each 500 settlements."""
    return [Sample(500 * number, {"worker": each}) for number, each in enumerate(mib)]


def test_what_is_kept_for_each_settlement_is_growth() -> None:
    assert round(growth_kib(samples(100, 101, 102, 103, 104, 105), "worker")) == 2048


def test_a_cache_that_fills_in_the_first_half_is_no_growth() -> None:
    assert growth_kib(samples(100, 140, 180, 200, 200, 200), "worker") == 0


def test_one_sample_shows_no_growth() -> None:
    assert growth_kib(samples(100), "worker") == 0
