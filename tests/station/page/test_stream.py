"""What is new, sent to all who look."""

import http.client
import json
import time
from contextlib import contextmanager

from tests.station.page.fakes import served
from tests.waiting import PATIENCE_S, wait_for


@contextmanager
def looking(page, path="/api/stream", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=PATIENCE_S)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "text/event-stream"
    try:
        yield answer
    finally:
        answer.close()
        connection.close()


def frames(answer):
    """(event, data, id) one after the other."""
    found = {}
    while line := answer.readline().decode().rstrip("\n") if not answer.closed else "":
        name, _, value = line.partition(": ")
        found[name] = value
    return found.get("event"), json.loads(found["data"]) if "data" in found else None, found.get("id")


def next_of(answer, event):
    while True:
        found = frames(answer)
        if found[0] == event:
            return found


def test_status_is_made_once_for_all_who_look(monkeypatch):
    """Each has a number: some are what all of them have seen, so they were made for nobody in particular."""
    monkeypatch.setattr("station.page.stream.EVERY_S", 0.1)
    with served() as page, looking(page) as one, looking(page) as two, looking(page) as three:
        last = max(next_of(answer, "status")[1]["number"] for answer in (one, two, three)) + 3
        seen = []
        for answer in (one, two, three):
            numbers = [next_of(answer, "status")[1]["number"]]
            while numbers[-1] < last:
                numbers.append(next_of(answer, "status")[1]["number"])
            seen.append(set(numbers))
        assert set.intersection(*seen), seen


def test_nothing_is_made_while_nobody_looks(monkeypatch):
    monkeypatch.setattr("station.page.stream.EVERY_S", 0.02)
    with served() as page:
        time.sleep(0.1)
        assert page.source.asked == []
        with looking(page) as answer:
            next_of(answer, "status")
        wait_for(lambda: page.server.viewers == 0)
        count = len(page.source.asked)
        time.sleep(0.2)
        assert len(page.source.asked) <= count + 1


def test_no_event_is_left_out_and_none_comes_twice():
    """Who comes again says which he saw last, as browsers do."""
    with served() as page:
        with looking(page, "/api/stream?after=1") as answer:
            _, news, number = next_of(answer, "events")
            assert [event["number"] for event in news["events"]] == [2, 3] and number == "3"
            page.source.news.append({"number": 4, "text": "more"})
            assert [event["number"] for event in next_of(answer, "events")[1]["events"]] == [4]
        with looking(page, **{"Last-Event-ID": "2"}) as answer:
            assert [event["number"] for event in next_of(answer, "events")[1]["events"]] == [3, 4]


def test_who_just_comes_hears_of_what_happens_from_then_on():
    with served() as page, looking(page) as answer:
        next_of(answer, "status")
        page.source.news.append({"number": 4, "text": "more"})
        assert [event["number"] for event in next_of(answer, "events")[1]["events"]] == [4]


def test_the_end_of_the_station_is_told():
    with served() as page, looking(page) as answer:
        next_of(answer, "status")
        page.server._loop.call_soon_threadsafe(page.server._done.set)
        assert next_of(answer, "end")[1] == {}
