"""What people see of a station: live table, report, pictures, symbols."""
