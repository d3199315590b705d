"""What a slave is: its EEPROM, what it exchanges and where, who it must be, its states."""
