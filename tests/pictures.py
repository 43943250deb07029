"""One picture saved in every way that can be read: depths, modes, formats, layouts, profiles and orientations."""

import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np
from PIL import Image, ImageCms

from tests.encoding import bitmap, encoded, in_passes, packed_tiff, pages, tiff, with_chunk
from tests.profiles import ADOBE_RGB, DISPLAY_P3, in_profile

SIDES = (44, 32)
"""Height and width of the picture, in pixels."""


def picture() -> np.ndarray:
    """A smooth picture of colours that all profiles have, uint8 of shape (height, width, 3)."""
    y, x = np.mgrid[: SIDES[0], : SIDES[1]] / np.array(SIDES).reshape(2, 1, 1)
    channels = [80 + 140 * x, 80 + 140 * y, 150 + 70 * np.sin(5 * x + 3 * y)]
    return np.rint(np.stack(channels, axis=2)).astype(np.uint8)


def deeper(image: np.ndarray, top: float, kind: str) -> np.ndarray:
    """The picture with other values: 255 becomes `top`."""
    values = image / 255 * top
    return (values if kind.startswith("float") else np.rint(values)).astype(kind)


def ways() -> Iterator[tuple[str, str, bytes]]:
    """The picture in every way that keeps its colours: a name, an extension and the file's content."""
    image = picture()
    pillow = Image.fromarray(image)
    opaque = np.full(SIDES, 255, np.uint8)
    planes = np.moveaxis(image, 2, 0)
    deep, twelve = deeper(image, 65535, "uint16"), deeper(image, 4095, "uint16")
    small = image[::4, ::4]
    grey = {"photometric": "minisblack"}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        lying = Image.fromarray(np.ascontiguousarray(laid(image, orientation)))
        yield f"png lying {orientation}", ".png", encoded(lying, "PNG", exif=exif)
        yield f"tiff lying {orientation}", ".tif", encoded(lying, "TIFF", exif=exif)
        tag = [(274, 3, 1, orientation, False)]
        lying_deep = np.ascontiguousarray(laid(deep, orientation))
        yield f"deep tiff lying {orientation}", ".tif", tiff(lying_deep, photometric="rgb", extratags=tag)
    yield "png", ".png", encoded(pillow, "PNG")
    yield "png of transparency, all opaque", ".png", encoded(pillow.convert("RGBA"), "PNG")
    yield "png of 16 bits", ".png", imagecodecs.png_encode(deep)
    yield "png of 12 bits in 16", ".png", imagecodecs.png_encode(twelve)
    yield "png of 16 bits and transparency", ".png", imagecodecs.png_encode(np.dstack([deep, opaque * np.uint16(257)]))
    yield "png in seven passes", ".png", in_passes(image)
    yield "png of 16 bits in seven passes", ".png", in_passes(deep)
    yield "cmyk tiff", ".tif", encoded(pillow.convert("CMYK"), "TIFF")
    yield (
        "cmyk tiff of 16 bits",
        ".tif",
        tiff(np.array(pillow.convert("CMYK")) * np.uint16(257), photometric="separated"),
    )
    yield "bmp", ".bmp", encoded(pillow, "BMP")
    yield "bmp of 32 bits, the fourth byte unused", ".bmp", bitmap(np.dstack([image[::-1, :, ::-1], opaque * 0]), 32)
    yield "animated webp", ".webp", encoded(pillow, "WEBP", save_all=True, append_images=[pillow], lossless=True)
    yield "bmp of 32 bits", ".bmp", encoded(pillow.convert("RGBA"), "BMP")
    yield "webp without loss", ".webp", encoded(pillow, "WEBP", lossless=True)
    yield "tiff", ".tif", encoded(pillow, "TIFF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"tiff, {compression}", ".tif", encoded(pillow, "TIFF", compression=compression)
    yield "tiff, webp", ".tif", tiff(image, photometric="rgb", compression="webp", compressionargs={"lossless": True})
    for compression in (None, "zlib", "lzw", "zstd", "lzma", "packbits", "png"):
        options = {"compression": compression, "predictor": compression in ("zlib", "lzw", "zstd")}
        yield f"tiff of 16 bits, {compression}", ".tif", tiff(deep, photometric="rgb", **options)
    for name, options in (
        ("tiled", {"tile": (16, 16)}),
        ("big endian", {"byteorder": ">"}),
        ("bigtiff", {"bigtiff": True}),
        ("bigtiff, big endian", {"bigtiff": True, "byteorder": ">"}),
        ("in strips of five rows", {"rowsperstrip": 5, "compression": "lzw", "predictor": True}),
        ("jpeg 2000", {"compression": "jpeg2000"}),
    ):
        yield f"tiff, {name}", ".tif", tiff(image, photometric="rgb", **options)
    yield (
        "tiff in tiles of planes",
        ".tif",
        tiff(np.ascontiguousarray(planes), photometric="rgb", planarconfig="separate", tile=(16, 16)),
    )
    yield "tiff of 16 bits, big endian", ".tif", tiff(deep, photometric="rgb", byteorder=">")
    yield "tiff of 12 bits in 16", ".tif", tiff(twelve, photometric="rgb")
    yield "tiff of 16 bits, tiled", ".tif", tiff(deep, photometric="rgb", tile=(16, 16))
    yield "bigtiff of 16 bits", ".tif", tiff(deep, photometric="rgb", bigtiff=True)
    yield (
        "tiff of 16 bits and transparency",
        ".tif",
        tiff(np.dstack([deep, opaque * np.uint16(257)]), photometric="rgb", extrasamples=["unassalpha"]),
    )
    yield (
        "tiff with a fourth channel",
        ".tif",
        tiff(np.dstack([image, opaque // 2]), photometric="rgb", extrasamples=[0]),
    )
    for name, values in (("8", planes), ("16", np.moveaxis(deep, 2, 0)), ("12 in 16", np.moveaxis(twelve, 2, 0))):
        options = {"photometric": "rgb", "planarconfig": "separate"}
        yield f"tiff of {name} bits in planes", ".tif", tiff(np.ascontiguousarray(values), **options)
    for kind, top in (
        ("float16", 1), ("float32", 1), ("float64", 1), ("float32", 255), ("float32", 65535),
        ("uint32", 65535), ("uint32", 2**32 - 1), ("int16", 32767), ("int16", 4095), ("int32", 65535), ("int8", 127),
    ):  # fmt: skip
        yield f"tiff of {kind} to {top}", ".tif", tiff(deeper(image, top, kind), photometric="rgb")
    yield "tiff of 12 packed bits", ".tif", packed_tiff(twelve, 12)
    for header in ({"metadata": {"axes": "CYX"}, "ome": True}, {"imagej": True, "metadata": {"axes": "CYX"}}):
        name = " ".join(key for key in header if key != "metadata")
        yield f"three pages, {name}", ".tif", tiff(planes, **grey, **header)
        yield f"three deep pages, {name}", ".tif", tiff(np.moveaxis(deep, 2, 0), **grey, **header)
    rgb = {"photometric": "rgb"}
    yield "page with a preview", ".tif", pages((image, rgb), (small, rgb | {"subfiletype": 1}))
    yield "preview first", ".tif", pages((small, rgb | {"subfiletype": 1}), (image, rgb))
    yield "page with a smaller one", ".tif", pages((image, rgb), (small, rgb))
    yield "deep page with a smaller one", ".tif", pages((deep, rgb), (small, rgb))
    deep_in_profile = with_chunk(
        imagecodecs.png_encode(in_profile(image, DISPLAY_P3) * np.uint16(257)),
        b"iCCP",
        b"drawn for a test\0\0" + zlib.compress(DISPLAY_P3),
    )
    yield "png of 16 bits in p3", ".png", deep_in_profile
    for name, profile in (("adobe", ADOBE_RGB), ("p3", DISPLAY_P3)):
        values = in_profile(image, profile)
        converted = Image.fromarray(values)
        in_planes = {"photometric": "rgb", "planarconfig": "separate", "iccprofile": profile}
        yield f"tiff in planes in {name}", ".tif", tiff(np.ascontiguousarray(np.moveaxis(values, 2, 0)), **in_planes)
        yield f"webp in {name}", ".webp", encoded(converted, "WEBP", lossless=True, icc_profile=profile)
        yield f"png in {name}", ".png", encoded(converted, "PNG", icc_profile=profile)
        yield f"tiff in {name}", ".tif", encoded(converted, "TIFF", icc_profile=profile)


def lossy() -> Iterator[tuple[str, str, bytes]]:
    """The picture in ways that change its colours a little."""
    image = picture()
    pillow = Image.fromarray(image)
    for name, options in (("4:4:4", {"subsampling": 0}), ("4:2:0", {"subsampling": 2}), ("progressive", {})):
        options |= {"quality": 98, "progressive": name == "progressive"}
        yield f"jpeg, {name}", ".jpg", encoded(pillow, "JPEG", **options)
    yield "cmyk jpeg", ".jpg", encoded(pillow.convert("CMYK"), "JPEG", quality=98)
    yield "jpeg of several pictures", ".jpg", encoded(pillow, "MPO", save_all=True, append_images=[pillow], quality=98)
    for name, profile in (("adobe", ADOBE_RGB), ("p3", DISPLAY_P3)):
        converted = Image.fromarray(in_profile(image, profile))
        yield f"jpeg in {name}", ".jpg", encoded(converted, "JPEG", quality=98, icc_profile=profile)
        yield f"png of a palette in {name}", ".png", encoded(converted.quantize(256), "PNG", icc_profile=profile)
    yield "webp", ".webp", encoded(pillow, "WEBP", quality=95)
    yield "tiff, jpeg", ".tif", encoded(pillow, "TIFF", compression="jpeg", quality=98)
    yield "tiff, jpeg, 4:2:0", ".tif", tiff(image, photometric="rgb", compression="jpeg", subsampling=(2, 2))
    yield "ycbcr tiff", ".tif", encoded(pillow.convert("YCbCr"), "TIFF")
    yield "gif", ".gif", encoded(pillow.quantize(256), "GIF")
    lab = ImageCms.profileToProfile(
        pillow, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    yield "lab tiff", ".tif", encoded(lab, "TIFF")
    red, green, blue = np.moveaxis(image[::-1].astype("<u2") >> 3, 2, 0)
    yield "bmp of 15 bits", ".bmp", bitmap(red << 10 | green << 5 | blue, 16)
    yield "bmp of 16 bits", ".bmp", bitmap(red << 11 | green << 6 | blue, 16, (0xF800, 0x7E0, 0x1F))


def half_hidden() -> Iterator[tuple[str, str, bytes]]:
    """The picture, of which a half lets as much of a white ground through, in every way."""
    image = picture()
    shown = opacity()
    deep, deep_shown = deeper(image, 65535, "uint16"), deeper(shown, 65535, "uint16")
    laid_on_black = np.rint(image * (shown[..., None] / 255)).astype(np.uint8)
    layers = np.dstack([image, shown])
    rgb, separate = {"photometric": "rgb"}, {"planarconfig": "separate"}
    plain, multiplied = {"extrasamples": ["unassalpha"]}, {"extrasamples": ["assocalpha"]}
    yield "png", ".png", encoded(Image.fromarray(layers), "PNG")
    yield "webp", ".webp", encoded(Image.fromarray(layers), "WEBP", lossless=True, exact=True)
    yield "png of 16 bits", ".png", imagecodecs.png_encode(np.dstack([deep, deep_shown]))
    twelve = deeper(image, 4095, "uint16")
    yield "png of 12 bits in 16", ".png", imagecodecs.png_encode(np.dstack([twelve, deep_shown]))
    yield "tiff", ".tif", tiff(layers, **rgb, **plain)
    yield "tiff in planes", ".tif", tiff(np.ascontiguousarray(np.moveaxis(layers, 2, 0)), **rgb, **plain, **separate)
    yield "tiff, multiplied", ".tif", tiff(np.dstack([laid_on_black, shown]), **rgb, **multiplied)
    yield "tiff of 16 bits", ".tif", tiff(np.dstack([deep, deep_shown]), **rgb, **plain)
    yield "tiff of 12 bits in 16", ".tif", tiff(np.dstack([twelve, deep_shown]), **rgb, **plain)
    yield "tiff of 12 bits throughout", ".tif", tiff(np.dstack([twelve, deeper(shown, 4095, "uint16")]), **rgb, **plain)
    yield "tiff of floats", ".tif", tiff((layers / 255).astype(np.float32), **rgb, **plain)
    converted = np.dstack([in_profile(image, DISPLAY_P3), shown])
    yield "png in p3", ".png", encoded(Image.fromarray(converted), "PNG", icc_profile=DISPLAY_P3)


def half_hidden_greys() -> Iterator[tuple[str, str, bytes]]:
    """The same of a grey picture."""
    image, shown = np.ascontiguousarray(picture()[..., 1]), opacity()
    deep, deep_shown = deeper(image, 65535, "uint16"), deeper(shown, 65535, "uint16")
    layers = Image.merge("LA", [Image.fromarray(image), Image.fromarray(shown)])
    black = {"photometric": "minisblack", "extrasamples": ["unassalpha"]}
    white = black | {"photometric": "miniswhite"}
    yield "png", ".png", encoded(layers, "PNG")
    yield "png of 16 bits", ".png", imagecodecs.png_encode(np.dstack([deep, deep_shown]))
    yield "tiff", ".tif", encoded(layers, "TIFF")
    yield "tiff in planes", ".tif", tiff(np.stack([image, shown]), **black, planarconfig="separate")
    yield "white is zero", ".tif", tiff(np.dstack([255 - image, shown]), **white)
    yield "white is zero, 16 bits", ".tif", tiff(np.dstack([65535 - deep, deep_shown]), **white)


def opacity() -> np.ndarray:
    """How opaque the pixels of such a picture are: uint8 of shape (height, width)."""
    shown = np.full(SIDES, 255, np.uint8)
    shown[:, : SIDES[1] // 2] = 128
    return shown


def greys() -> Iterator[tuple[str, str, bytes]]:
    """The picture's green alone, as a grey picture, in every way."""
    image = np.ascontiguousarray(picture()[..., 1])
    pillow = Image.fromarray(image)
    black, white = {"photometric": "minisblack"}, {"photometric": "miniswhite"}
    yield "png", ".png", encoded(pillow, "PNG")
    yield "png of grey and opaque", ".png", encoded(pillow.convert("LA"), "PNG")
    yield "png of a palette", ".png", encoded(pillow.convert("P"), "PNG")
    yield "gif", ".gif", encoded(pillow, "GIF")
    yield "bmp", ".bmp", encoded(pillow, "BMP")
    for top in (65535, 4095, 1023, 16383):
        deep = deeper(image, top, "uint16")
        yield f"png to {top}", ".png", encoded(Image.fromarray(deep), "PNG")
        yield f"tiff to {top}", ".tif", tiff(deep, **black)
        yield f"white is zero, to {top}", ".tif", tiff((top - deep).astype(np.uint16), **white)
    yield "white is zero, 8 bits", ".tif", tiff(255 - image, **white)
    yield "white is zero, floats", ".tif", tiff(deeper(255 - image, 1, "float32"), **white)
    for bits in (10, 12, 14):
        packed = deeper(image, 2**bits - 1, "uint16")
        yield f"packed {bits} bits", ".tif", packed_tiff(packed, bits)
    for kind, top in (
        ("int8", 127), ("int16", 32767), ("int16", 4095), ("int32", 65535), ("uint32", 65535), ("uint32", 2**32 - 1),
        ("float16", 1), ("float32", 1), ("float64", 1), ("float32", 4095),
    ):  # fmt: skip
        yield f"tiff of {kind} to {top}", ".tif", tiff(deeper(image, top, kind), **black)
    table = np.repeat(np.arange(256, dtype=np.uint16)[None], 3, axis=0)
    yield "palette", ".tif", tiff(image, photometric="palette", colormap=table * 257)
    yield "palette of eight bits", ".tif", tiff(image, photometric="palette", colormap=table)
    yield "around zero", ".tif", tiff(deeper(image, 2, "float32") - 1, **black)
    yield "around zero, signed", ".tif", tiff((deeper(image, 65535, "int32") - 32768).astype(np.int16), **black)


def laid(image: np.ndarray, orientation: int) -> np.ndarray:
    """An upright picture as it lies in a file with one of EXIF's orientations."""
    return {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.swapaxes(0, 1),
        6: np.rot90(image),
        7: np.rot90(image, 2).swapaxes(0, 1),
        8: np.rot90(image, -1),
    }[orientation]


def declared() -> Iterator[tuple[str, bytes]]:
    """The picture at a third of its brightness, with 12 bits in 16, in files that say so: a name and the content."""
    image = deeper(picture() // 3, 4095, "uint16")
    stated = [(341, 3, 3, (4095,) * 3, False)]
    yield "SMaxSampleValue", tiff(image, photometric="rgb", extratags=stated)
    yield (
        "SMaxSampleValue, planes",
        tiff(
            np.ascontiguousarray(np.moveaxis(image, 2, 0)), photometric="rgb", planarconfig="separate", extratags=stated
        ),
    )
    for axes, values in (("YXS", image), ("CYX", np.moveaxis(image, 2, 0))):
        options = {"ome": True, "metadata": {"axes": axes, "SignificantBits": 12}}
        yield f"OME, {axes}", tiff(values, photometric="rgb" if axes == "YXS" else "minisblack", **options)
    yield "12 packed bits", packed_tiff(image, 12)
