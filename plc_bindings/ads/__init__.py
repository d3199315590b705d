"""An ADS server: what TwinCAT's PLC blocks, AdsLib, pyads and others call over AMS/TCP.

server         sockets: one protocol object for each connection, one timer for its notifications
  session      one connection without sockets: bytes in, bytes out; handles, notifications
    device     what all connections share: database, models, symbol and data type tables
      frames   the layout of every packet
      tables   symbols and data types as ADS describes them
"""
