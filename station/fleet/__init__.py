"""A fleet: what each of many stations shall run, and what it says that it runs, carried by one MQTT broker (docs/rollout.md).

    desired     commander -> station    which version each model shall have; signed, numbered, kept on the station's disk
    reported    station -> commander    what runs, how far a change is, how well; signed, numbered
    rollout     commander               the plan of a change of many stations, and how far it is
    word        anybody with the key    pause, resume, abort

| file | what is in it |
|---|---|
| `sealed.py`, `documents.py` | signed texts; what they say |
| `agent.py`, `progress.py` | a station's side, pure: events in, events out; how far each version is |
| `driver.py`, `plant.py` | the agent in a thread of a station: broker, disk, files; what it asks of the station |
| `known.py`, `show.py` | what a commander knows, and how it is shown |
| `artifacts.py`, `web.py`, `oci.py` | files by their hash, over HTTPS or from a registry |
| `rollout.py` | which stations are next, and whether one gives reason to stop; pure |
| `file.py`, `begin.py` | a fleet file, and what a rollout brings |
| `session.py`, `pins.py` | a commander at a broker; the keys of stations that it has seen |
| `commander.py`, `diary.py`, `words.py` | a rollout carried out; its journal; what a person says to it |
"""
