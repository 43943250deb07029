"""Images of data as a page holds them."""

from __future__ import annotations

import base64
import io

from PIL import Image

from leuko.report.blocks import Picture


def picture(image: Image.Image, alt: str, label: str = "") -> Picture:
    """An image as the page holds it."""
    content = io.BytesIO()
    image.convert("RGB").save(content, "JPEG", quality=85, optimize=True)
    return Picture(base64.b64encode(content.getvalue()).decode(), alt, label)
