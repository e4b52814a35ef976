"""Fixtures of the lanes on real servers."""

from lane_parts import cache_folder as cache_folder
from lane_parts import environment as environment
from lane_parts import tiny_model as tiny_model
