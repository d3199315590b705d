"""MQTT: what a station publishes, and what it is told.

broker.py      one session with a broker, for as long as it is wanted; knows no payloads
"""
