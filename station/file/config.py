"""What a whole station file may say. Links and servers are tables of whatever kinds there are."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from station.links import LinkTable, link_tables
from station.servers import ServerTable, server_tables
from station.terms.recorder import RecorderTable
from station.terms.tables import ModelTable, Name, StationTable, Table, TagTable
from station.terms.tasks import TaskTable

if TYPE_CHECKING:
    AnyLink = LinkTable
    AnyServer = ServerTable
else:  # the tables of all kinds that were found, told apart by their `type`
    AnyLink = Annotated[reduce(or_, link_tables()), Field(discriminator="type")]
    AnyServer = Annotated[reduce(or_, server_tables()), Field(discriminator="type")]


class StationConfig(Table):
    """A whole station file."""

    station: StationTable = StationTable()
    models: dict[Name, ModelTable] = Field(default={})
    links: dict[Name, AnyLink] = Field(default={})
    tags: dict[Name, TagTable] = Field(default={})
    servers: dict[Name, AnyServer] = Field(default={})
    tasks: dict[Name, TaskTable] = Field(default={})
    recorder: RecorderTable | None = None
