"""The smallest files that are real ones."""

from __future__ import annotations

import base64
import struct

RED_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""

SILENCE = struct.pack("<4sI4s4sIHHIIHH4sI4x", b"RIFF", 40, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 4)
"""A WAV of two samples."""
