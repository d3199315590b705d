"""News of a link: what happened in its device beside changes of its state."""

import logging

from fieldbus.inprocess import InProcessLink
from fieldbus.tags import Tag


def test_news_are_taken_once_are_in_the_log_and_old_ones_are_forgotten(caplog):
    """Nobody has to take them."""
    caplog.set_level(logging.INFO)
    link = InProcessLink("bus", [Tag("x", "bool", "in")], device=lambda out: {"x": 0}, cycle_s=0.01, timeout_s=0.1)
    link._tell_news("slave 3 is in OP again", True)
    link._tell_news("a \x1b[31mname", False)
    assert link.take_news() == [("slave 3 is in OP again", True), ("a \x1b[31mname", False)]
    assert link.take_news() == []
    assert "slave 3 is in OP again" in caplog.text and "\x1b" not in caplog.text
    for number in range(1000):
        link._tell_news(str(number), True)
    assert link.take_news()[-1] == ("999", True) and not link.take_news()
