from fieldbus.ethercat.slaves.slave_clock import LEAD_NS, first_pulse


def test_the_first_pulse_is_well_ahead_and_at_its_phase() -> None:
    """Of the reference's time; wherever in a cycle it is asked for, all slaves get pulses at one moment."""
    for now in (0, 1, 999_999, 1_000_000, 123_456_789_012):
        first = first_pulse(now, 1_000_000, 250_000)
        assert first % 1_000_000 == 250_000
        assert now + LEAD_NS < first <= now + LEAD_NS + 1_250_000
