"""The process image: consistent groups of values between links and tasks, in native memory."""

from fieldbus.image.image import NATIVE, Channel, ProcessImage

__all__ = ["NATIVE", "Channel", "ProcessImage"]
