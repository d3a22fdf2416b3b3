"""Pictures as data: URIs: drawn here as SVG, or PNGs of a folder as they are. For the sections."""

import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from margintool.page.views import Picture
from mmpo_core.errors import InputError

# CSS pixels
_PER_INCH = 96
_COLORS = 255
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
    """Return a PNG file as a picture, in few colors: a plot has few, and a page many pictures.

    Raises:
        InputError: if it cannot be read or is no PNG.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=["PNG"]) as image:
            finely = float(image.info.get("dpi", (_PER_INCH, _PER_INCH))[0]) or _PER_INCH
            written = BytesIO()
            image.convert("RGBA").quantize(_COLORS, Image.Quantize.FASTOCTREE).save(written, "png")
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: is not a PNG picture") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    width, height = (round(side * _PER_INCH / finely) for side in image.size)
    return Picture(_uri("image/png", written.getvalue()), width, height, alt, caption)


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
