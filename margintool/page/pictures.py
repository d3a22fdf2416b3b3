"""Pictures as data: URIs: drawn here as SVG, or PNGs of a folder as they are. For the sections."""

import base64
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from margintool.page.views import Picture
from mmpo_core.errors import InputError

_PNG = b"\x89PNG\r\n\x1a\n"
# CSS pixels
_PER_INCH = 96
# Small, so that on a phone the labels are still of 10 pixels and more.
SIZE = (4.8, 3.6)


def drawn(
    draw: Callable[[Any], None],
    alt: str,
    caption: str = "",
    size: tuple[float, float] = SIZE,
) -> Picture:
    """Return a picture as SVG: sharp at every size; the same drawing gives the same bytes.

    It goes into an <img>, where the ids of several SVGs cannot meet and nothing in it runs.

    Args:
        draw: draws on the axes that it is given.
        alt: text instead of the picture.
        caption: text below.
        size: in inches.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "margintool", "svg.fonttype": "path"}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        written = BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    width, height = (round(side * _PER_INCH) for side in size)
    source = _uri("image/svg+xml", written.getvalue())
    return Picture(source, width, height, alt, caption)


def embedded(path: Path, alt: str, caption: str = "") -> Picture:
    """Return a PNG file as a picture.

    Raises:
        InputError: if it cannot be read or is no PNG.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) < 24 or not content.startswith(_PNG):
        raise InputError(f"{path}: is not a PNG picture")
    # The header's first chunk: width and height, four bytes each.
    width, height = (
        round(side * _PER_INCH / _dots_per_inch(content))
        for side in struct.unpack(">II", content[16:24])
    )
    return Picture(_uri("image/png", content), width, height, alt, caption)


def _dots_per_inch(png: bytes) -> float:
    """Return how finely a PNG was drawn; a dot is a CSS pixel if it does not say."""
    at = png.find(b"pHYs", 24, 4096)
    if at < 0 or len(png) < at + 13:
        return _PER_INCH
    per_meter, _, unit = struct.unpack(">IIB", png[at + 4 : at + 13])
    return per_meter * 0.0254 if unit == 1 and per_meter else _PER_INCH


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
