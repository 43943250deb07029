"""What ingest and prediction say of thousands of damaged image files.

    python -m trials.mutations --files 6000

Real files of all formats are made from the demo data and then damaged: bits flipped, ends cut off, ranges set to zero,
parts of other files put in, numbers in headers made huge. A process of its own reads them one by one, as ingest does
and as prediction does. It may refuse them, but neither end in a traceback, nor hang, nor fill the memory.
"""

from __future__ import annotations

import argparse
import collections
import io
import multiprocessing
import resource
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.data.images import UnreadableImageError, probe_image, read_rgb
from leuko.data.mask_meaning import probe_mask
from leuko.data.survey import survey_data
from leuko.demo import draw_demo

SECONDS = 10
"""A file that takes longer counts as a hang."""
GIGABYTE = 2**30

Mutation = Callable[[bytearray, bytes, np.random.Generator], bytes]


def encodings(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    """One image as files of all formats and of the modes that matter, by extension."""
    exif = Image.Exif()
    exif[0x0112] = 6
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * 5000, zip=True)
    deep = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    kinds: list[tuple[str, Image.Image, dict[str, object]]] = [
        (".jpg", image, {"quality": 85, "exif": exif}),
        (".jpg", image, {"quality": 70, "progressive": True}),
        (".jpg", image.convert("CMYK"), {}),
        (".jpg", image.convert("L"), {"restart_marker_rows": 1}),
        (".png", image, {"pnginfo": text}),
        (".png", image.convert("RGBA"), {"exif": exif}),
        (".png", image.quantize(16), {"transparency": 3}),
        (".png", deep, {}),
        (".bmp", image, {}),
        (".bmp", image.quantize(16), {}),
        (".tif", image, {"exif": exif}),
        (".tif", image, {"compression": "tiff_lzw"}),
        (".tif", image, {"compression": "tiff_deflate"}),
        (".tif", image, {"compression": "jpeg"}),
        (".tif", deep, {"compression": "packbits"}),
    ]
    for extension, picture, options in kinds:
        content = io.BytesIO()
        picture.save(content, Image.registered_extensions()[extension], **options)
        yield extension, content.getvalue()


def flip_bits(content: bytearray, other: bytes, rng: np.random.Generator) -> bytes:
    """Flip up to 64 bits anywhere."""
    for place in rng.integers(0, len(content), rng.integers(1, 65)):
        content[place] ^= 1 << int(rng.integers(8))
    return bytes(content)


def cut(content: bytearray, other: bytes, rng: np.random.Generator) -> bytes:
    """Cut off the end."""
    return bytes(content[: rng.integers(0, len(content))])


def splice(content: bytearray, other: bytes, rng: np.random.Generator) -> bytes:
    """Go on with another file, from anywhere in it."""
    return bytes(content[: rng.integers(0, len(content))]) + other[rng.integers(0, len(other)) :]


def blank(content: bytearray, other: bytes, rng: np.random.Generator) -> bytes:
    """Set a range to zero."""
    start, end = sorted(rng.integers(0, len(content) + 1, 2))
    content[start:end] = bytes(end - start)
    return bytes(content)


def repeat(content: bytearray, other: bytes, rng: np.random.Generator) -> bytes:
    """Repeat a range up to a hundred times."""
    start, end = sorted(rng.integers(0, len(content) + 1, 2))
    return bytes(content[:start]) + bytes(content[start:end]) * int(rng.integers(2, 101)) + bytes(content[end:])


def edit_header(content: bytearray, other: bytes, rng: np.random.Generator) -> bytes:
    """Put extreme numbers into the first bytes, where sizes, depths and offsets are."""
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(0, min(len(content), 600) - 4))
        number = int(rng.choice([0, 1, 0x7F, 0xFF, 0x1000, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF]))
        order = rng.choice(["<", ">"])
        content[place : place + 4] = struct.pack(f"{order}I", number)
    return bytes(content)


def edit_chunks(content: bytearray, other: bytes, rng: np.random.Generator) -> bytes:
    """Damage a PNG file and mend its check sums, so that the damage is read; other files as `edit_header`."""
    if not content.startswith(b"\x89PNG"):
        return edit_header(content, other, rng)
    place = 8
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        end = place + 8 + length
        if length and rng.random() < 0.5:
            for spot in rng.integers(place + 8, end, rng.integers(1, 5)):
                content[spot] = int(rng.integers(256))
        struct.pack_into(">I", content, end, zlib.crc32(content[place + 4 : end]))
        place = end + 4
    return bytes(content)


MUTATIONS: tuple[Mutation, ...] = (flip_bits, cut, splice, blank, repeat, edit_header, edit_chunks)


def write_mutated(folder: Path, n_files: int, seed: int) -> list[Path]:
    """Write damaged files.

    Args:
        folder: where to.
        n_files: how many.
        seed: what decides the damage.

    Returns:
        Their paths.
    """
    with tempfile.TemporaryDirectory() as demo:
        draw_demo(Path(demo), seed=seed, fraction=0.03)
        images = [read_rgb(path) for path in sorted(Path(demo).glob("WBC_100/val/data/*/*"))[:8]]
    whole = [encoding for image in images for encoding in encodings(image)]
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(n_files):
        extension, content = whole[rng.integers(len(whole))]
        mutation = MUTATIONS[number % len(MUTATIONS)]
        path = folder / f"{number:05}_{mutation.__name__}{extension}"
        path.write_bytes(mutation(bytearray(content), whole[rng.integers(len(whole))][1], rng))
        paths.append(path)
    return paths


def read(paths: list[Path], results: Connection) -> None:
    """Read files in all ways, and send of each file what came of it: nothing, why it was refused, or an error."""
    for path in paths:
        outcome = ""
        for way in (probe_image, probe_mask, read_rgb):
            try:
                way(path)
            except UnreadableImageError as error:
                outcome = outcome or f"refused: {error}"
            except BaseException as error:
                outcome = f"traceback: {way.__name__}: {error!r}"
        results.send((outcome, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def outcomes(paths: list[Path]) -> Iterator[tuple[Path, str, float, int]]:
    """Read files in a process of its own, which is replaced when it hangs or dies.

    Yields:
        Of each file what came of it, the seconds, and the most memory that its process has used so far.
    """
    waiting = list(paths)
    while waiting:
        results, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=read, args=(waiting, sender), daemon=True)
        process.start()
        sender.close()
        started, patience = time.monotonic(), 60.0  # the first one waits for the imports
        while waiting:
            path = waiting.pop(0)
            try:
                outcome, memory = results.recv() if results.poll(patience) else ("hang", 0)
            except EOFError:
                outcome, memory = "crash", 0
            yield path, outcome, time.monotonic() - started, memory
            if outcome in ("hang", "crash"):
                process.kill()
                break
            started, patience = time.monotonic(), SECONDS
        process.join()


def main() -> None:
    """Print what came of all files, and fail if one of them did harm."""
    parser = argparse.ArgumentParser(prog="python -m trials.mutations", description=__doc__)
    parser.add_argument("--files", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "pRCC"
        folder.mkdir()
        results = list(outcomes(write_mutated(folder, arguments.files, arguments.seed)))
        params = load_params(Params)
        problems = survey_data(
            Path(root), classes=params.classes, synonyms=params.synonyms, **params.ingest.model_dump()
        ).problems
    kinds = collections.Counter(outcome.split(":")[0] or "read" for _, outcome, _, _ in results)
    print(f"{len(results)} files: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}")
    slowest, largest = max(seconds for _, _, seconds, _ in results[1:]), max(memory for *_, memory in results)
    print(f"slowest: {slowest:.2f} s; most memory: {largest / GIGABYTE:.2f} GB")
    reported = {
        line.split(":")[0] for kind, lines in problems.found.items() if "cannot be read" in kind for line in lines
    }
    refused = {f"pRCC/{path.name}" for path, outcome, _, _ in results if outcome.startswith("refused")}
    print(
        f"refused and not named by ingest: {len(refused - reported)}; named and not refused: {len(reported - refused)}"
    )
    harm = [(path.name, outcome) for path, outcome, _, _ in results if outcome and not outcome.startswith("refused")]
    for name, outcome in harm[:20]:
        print(f"    {name}: {outcome}")
    if harm or reported != refused or largest > GIGABYTE:
        raise SystemExit("Some files did harm.")


if __name__ == "__main__":
    main()
