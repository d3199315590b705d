"""An ADS server: what TwinCAT's PLC blocks, AdsLib, pyads and others call over AMS/TCP.

server              sockets: one protocol object for each connection, one timer for its notifications
  session           one connection without sockets: bytes in, bytes out; commands, jobs
    values          symbols by group and offset, by handle, by name; what is uploaded
    calls           predict, lookup, attributes, model updates
    sums            many requests in one
    notifications   what is due, what has changed, what may wait
      device        what all connections share: database, models, tables
      tables        symbols and data types as ADS describes them
      frames        the layout of every packet
      codes         commands, groups, error codes
"""
