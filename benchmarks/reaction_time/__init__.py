"""From the sensor to the actuator: stations beside a C program on libmodbus, at the same device."""
