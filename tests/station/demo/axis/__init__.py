"""Tests of station.demo.axis."""
