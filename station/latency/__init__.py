"""How late, how long and why: `rt-engine latency`. A measurement, from what runs to what is said of it:

benches   what is measured: a station's tasks without devices, given models, an empty task for each core
loads/    what disturbs meanwhile: one file for each kind, in processes of their own
sources/  what the kernel counts meanwhile: one file for each kind
turns     who runs when: we, cyclictest, the kernel's own search for gaps
measure   all of that, into a `Result` (result.py), which is the JSON file
causes, ties, fit, doubts      pure: what the numbers say, and whether they may
findings, pictures, page, compare    what people read
"""
