"""An ADS server: what TwinCAT's PLC blocks, AdsLib, pyads and others call over AMS/TCP.

server              what its connections have of their own (`plc_bindings.net.connection`)
  session           one connection without sockets: packets in, packets out; commands, jobs
    symbols         by group and offset, by handle, by name; what is uploaded
    calls           predict, lookup, attributes, model updates; `repeated`: those that are replayed
    sums            many requests in one
    notifications   what is due, what has changed, what may wait
      device        what all connections share: database, models, tables
      tables        symbols and data types as ADS describes them
      groups        index groups of the server's own
      codes         its state; what an error becomes

The layout of every packet is in `fieldbus.ads.frames`, for clients and servers.
"""
