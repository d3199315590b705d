# %% [markdown]
"""A model in Python, cell by cell: look at it, run it once, over a recording, in a loop with a deadline, and try its successor.

    python examples/evaluate_in_python.py

Editors with notebooks (VS Code, PyCharm, Spyder, Jupyter with jupytext) show each `# %%` as a cell.
"""

# %% Load and look: the demo's policy, whose inputs are positions, speeds and what they should be, and whose output is a force
import pickle
from pathlib import Path

import numpy as np

import rt_engine

MODELS = Path(__file__).parent.parent / "station" / "demo" / "data"
model = rt_engine.load(MODELS / "policy-v1.onnx")
print(f"rt-engine {rt_engine.__version__}: {model}")
print(model.report())

# %% Once: a dictionary goes in, arrays come out
observation = np.zeros((1, 7), np.float32)
observation[0, 0] = 0.1  # 10 cm away from where it should be
(force,) = model.run({"observation": observation})
print(f"force {force.item():.2f} N")

# %% Over a recording: 100,000 rows on all cores, the same bits as one by one
recording = np.random.default_rng(0).normal(0, 0.2, (100_000, 7)).astype(np.float32)
(forces,) = model.map({"observation": recording}, progress=lambda done, total: print(f"{done:,} of {total:,} rows"))
one_by_one = [model.run({"observation": row[None]})[0][0] for row in recording[:1000]]
assert np.array_equal(forces[:1000], one_by_one)
print(f"forces from {forces.min():.1f} to {forces.max():.1f} N")

# %% In a loop: a context has memory of its own, nothing is allocated, inputs are written where the model reads them
context = model.context()
for row in recording[:1000]:
    context.inputs["observation"][0] = row
    context.run()
    force = context.outputs["force"]  # a view: the next run overwrites it
times = context.measure(10_000) / 1000
print(f"a run takes {np.median(times):.2f} us, 99 of 100 at most {np.percentile(times, 99):.2f} us")

# %% What is wrong is said in words
try:
    model.run({"observation": recording})
except rt_engine.errors.InputError as error:
    print(error)

# %% Its successor: may it take the place of the running one, and what would change?
slot = rt_engine.ModelSlot(model, "policy")
try:
    slot.update(rt_engine.load(MODELS / "policy-v3-bad.onnx"))
except rt_engine.errors.InterfaceError as error:
    print(error)
better = rt_engine.load(MODELS / "policy-v2.onnx")
slot.update(better)
(others,) = better.map({"observation": recording})
print(f"version {slot.version} differs by {np.abs(others - forces).mean():.2f} N on average")

# %% A model travels as its program: to a pool of processes, to a file
copied = pickle.loads(pickle.dumps(better))
assert np.array_equal(copied.run({"observation": observation})[0], better.run({"observation": observation})[0])
