"""The gate: what a new version of a model has to show before anything of it runs in a station.

    GateJob (plain data) + Program --examine, in a worker process--> GateReport

`rt_engine.apart.Apart.examine` compiles a file and examines it in a process of its own; `examine` does it here, by hand.
"""
