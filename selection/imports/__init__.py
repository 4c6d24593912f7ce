"""Masks from other forms, back into folders of PNGs."""

from selection.imports.source import read_videos, write_videos
from selection.imports.video import ImportedVideo

__all__ = ["ImportedVideo", "read_videos", "write_videos"]
