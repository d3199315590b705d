"""Models as a service: the Open Inference Protocol, version 2, over HTTP. Needs aiohttp, as what is in `plc_bindings.web` does.

A request travels downwards, its answer back:

    server.py        a thread and a loop of its own (`plc_bindings.web.apart`)
    service.py       who may ask; path -> what answers it
    body.py          the bytes: limits, time, compression
    question.py      JSON and binary tensors -> what is asked; tensors.py: inputs in the model's own bytes
    numbers.py       long JSON in slices; json_values.py: JSON <-> values
    runs.py          a batch is as many runs, in a context that is lent; sequences.py: state between calls
    answer.py        outputs -> JSON and binary tensors; ready.py: with a head before them, sent
    ends.py          what a model takes and gives in the protocol's words; described.py, openapi.py, page.py: told to clients
"""
