"""What a PLC or a C++ program calls: ADS server, Modbus server, IEC 61131-3 blocks, C ABI. Nothing of it is here yet."""
