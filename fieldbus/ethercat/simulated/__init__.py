"""A bus of simulated EtherCAT slaves on one end of a veth pair: what ESCs do is native code, what is behind them a `Device`."""
