"""MQTT: what a station publishes, and what it is told.

broker.py      one session with a broker, kept up, bounded; knows no payloads
points.py      names in the station file -> values of the database; bytes of an area -> what is new
payload.py     what the two payloads have in common: records, orders, values of commands, checked
sparkplug.py   records <-> Sparkplug B (schema.py: its protobuf)        plain.py   ... <-> JSON topics
store.py       what waits for the broker, also on disk
uplink.py      from looks to the broker and back, in a thread of its own
server.py      looks, and writes of commands, in the servers' thread
"""
