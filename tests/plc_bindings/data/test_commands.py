"""What clients say to a change is handed on by a thread; what cannot be done is told, and stops nobody."""

import threading

from plc_bindings.data.changes import ChangeView
from plc_bindings.data.commands import Commands
from tests.waiting import wait_for


class Slow:
    """Changes that take until they are let go, and then fail."""

    def __init__(self):
        self.go, self.said = threading.Event(), []

    def views(self):
        return [ChangeView("other"), ChangeView("policy", candidate=2)]

    def commit(self, slot, who):
        assert self.go.wait(60)
        self.said.append(("commit", slot, who))
        raise KeyError("no change is under way")

    def roll_back(self, slot, who):
        self.said.append(("rollback", slot, who))
        return "done"


def test_who_asks_waits_for_nothing_and_hears_what_could_not_be_done():
    slow, refused = Slow(), []
    commands = Commands(slow, lambda *words: refused.append(words))
    commands.commit("policy", "10.0.0.5")
    commands.roll_back("policy", "10.0.0.6")
    wait_for(lambda: slow.said == [("rollback", "policy", "10.0.0.6")])
    assert not refused
    slow.go.set()
    wait_for(lambda: refused == [("10.0.0.5", "commit of model policy", "refused: no change is under way")])


def test_the_view_is_that_of_the_slot():
    assert Commands(Slow()).view("policy").candidate == 2
    assert Commands(Slow()).view("third") is None
    assert Commands().view("policy") is None


def test_where_nothing_changes_nothing_happens():
    Commands().commit("policy", "a")
    Commands().roll_back("policy", "a")
