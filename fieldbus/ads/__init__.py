"""Links to TwinCAT controllers, over ADS."""

from fieldbus.ads.link import AdsLink

__all__ = ["AdsLink"]
