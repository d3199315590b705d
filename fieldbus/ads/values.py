"""Tags that travel together: in one sum command, one after the other, or in a single request each."""

from collections.abc import Sequence

from fieldbus.ads import questions, requests
from fieldbus.ads.client import NO_SUMS, AdsClient, check_items
from fieldbus.ads.conversation import Ends
from fieldbus.ads.questions import Question
from fieldbus.ads.requests import Item
from fieldbus.ads.watch import Watch
from fieldbus.codec import Field
from fieldbus.errors import ConnectionLostError, RefusedError
from fieldbus.link.ports import Cells
from fieldbus.tags import Order, Tag


class Values:
    """Some tags of one link. `has_sums`: does the device know sum writes?"""

    def __init__(self, cells: Cells, tags: Sequence[Tag]) -> None:
        self.tags = tags
        self.has_sums = True
        self.items: tuple[Item, ...] = ()
        self.handles: list[int] = []
        """Of notifications, one for each tag."""
        fields: list[Field] = []
        at = 0
        for tag in tags:
            size = tag.number.nbytes
            fields.append(Field(tag, cells.first[tag.name], at, size, Order.DCBA, tag.count))
            at += size * tag.count
        self.fields = tuple(fields)
        self._newest: dict[int, bytes] = {}

    # --- what is asked in each cycle ----------------------------------------------------------------------------------

    def reads(self, ends: Ends, watch: Watch) -> list[Question]:
        """All values; with them, where they travel in one request, what is watched."""
        if watch.has_sums:
            return [questions.read_all(ends, watch.items, watch.version, self.items, self.fields)]
        return [questions.read_one(ends, i, (f,)) for i, f in zip(self.items, self.fields, strict=True)]

    def writes(self, ends: Ends) -> list[Question]:
        """All values."""
        if self.has_sums:
            return [questions.write_all(ends, self.items, self.fields)]
        return [questions.write_one(ends, i, (f,)) for i, f in zip(self.items, self.fields, strict=True)]

    # --- notifications ------------------------------------------------------------------------------------------------

    def subscribe(self, client: AdsClient, cycle_s: float, deadline_ns: int) -> None:
        """Have all changes sent. Their first values may come before their handles are known: see `newest`."""
        label, self._newest = "notifications", {}
        try:
            got = client.read_write(label, requests.sum_add_notifications(self.items, cycle_s), deadline_ns)
        except RefusedError as error:
            if error.code not in NO_SUMS:
                raise
            self.handles = [client.notify(item, cycle_s, deadline_ns) for item in self.items]
            return
        pairs = requests.pairs(label, requests.whole(label, got, 8 * len(self.items)), len(self.items))
        check_items(self.items, [code for code, _ in pairs])
        self.handles = [handle for _, handle in pairs]

    def newest(
        self, client: AdsClient, watch: Watch, noted: dict[int, bytes], deadline_ns: int
    ) -> list[tuple[int, bytes]]:
        """(handle, value) of now: what was notified, and of those that have not changed yet, and need never, as read."""
        values = self._read(client, watch, deadline_ns)
        found = []
        for handle, item, value in zip(self.handles, self.items, values, strict=True):
            newest = noted.get(handle, value)
            if len(newest) != item.nbytes:
                message = f"{item.label} is notified with {len(newest)} bytes, not {item.nbytes}; connecting anew"
                raise ConnectionLostError(message)
            found.append((handle, newest))
        return found

    def _read(self, client: AdsClient, watch: Watch, deadline_ns: int) -> list[bytes]:
        if not watch.has_sums:
            return [client.read(item, deadline_ns) for item in self.items]
        nbytes = sum(item.nbytes for item in self.items)
        codes, data = client.sum_read(requests.sum_read(self.items), len(self.items), nbytes, deadline_ns)
        check_items(self.items, codes)
        return [data[f.byte : f.byte + i.nbytes] for f, i in zip(self.fields, self.items, strict=True)]
