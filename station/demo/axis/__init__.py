"""The demo on EtherCAT: a network holds a simulated axis at 1 kHz, through a hot update and a drive that loses power."""
