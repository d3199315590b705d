"""Hostile models: `mutate` makes them, `worker` loads and runs them in a process of its own, `campaign` watches that process.

python -m tests.fuzz.campaign --count 5000
"""
