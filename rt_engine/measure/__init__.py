"""How fast, how near the machine's limits, how exact: what `rt-engine bench`, `rt-engine inspect` and benchmarks/ share.

machine.py   what this machine is, and its measured peaks      engines.py   an engine; peers/ the others, one file each
compare.py   interleaved rounds, warm and cold                 profile.py   the time of each record of a program
results.py   tables, JSON, plots                               inspect.py   per operator: work, time, exactness
"""
