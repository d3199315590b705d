"""The recorder: cycles from the tasks' rings into files, continuously or around triggers."""
