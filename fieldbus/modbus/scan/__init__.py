"""What does an unknown Modbus device have? Asked gently, and never written to.

wire      bytes on a socket or a serial line, one question at a time; what is odd about the answers
asking    pauses, second tries, passing refusals; learns how fast and how far a device can be asked
units     which unit numbers answer
identity  what a device says that it is: function codes 43 and 17
blocks    which addresses of a table can be read, and how many at once
values    where a value lies that a person sees on the device's display
"""
