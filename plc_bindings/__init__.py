"""What a PLC or a C++ program calls: ADS server, Modbus server, IEC 61131-3 blocks, C ABI.

Database (areas, symbols)  <--  ads, modbus          read and write by name or number, in consistent groups
Models, Predictor          <--  ads, modbus          a call computes and answers at once
st                         -->  Structured Text      blocks that call either server; small models as blocks
c                          -->  rt_engine.h          the engine without Python
"""
