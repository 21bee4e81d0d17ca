"""Makes a PNG small: 256 colours are plenty for a page of text. The most frequent ones are kept as they
are, the rest (the edges of letters) become the nearest of them."""

import collections
import struct
import zlib

COLOURS = 256
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _chunks(data):
    place = len(SIGNATURE)
    while place < len(data):
        length, = struct.unpack_from(">I", data, place)
        yield data[place + 4:place + 8], data[place + 8:place + 8 + length]
        place += length + 12


def _paeth(left, up, corner):
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))


def _unfilter(kind, row, above, step):
    """One row as it was before its filter (PNG §9.2)."""
    for i, value in enumerate(row):
        left = row[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        guess = (0, left, above[i], (left + above[i]) // 2,
                 _paeth(left, above[i], corner) if kind == 4 else 0)[kind]
        row[i] = value + guess & 255
    return row


def _pixels(data):
    """(width, rows of (red, green, blue)) of an 8-bit RGB or RGBA picture without interlacing."""
    chunks = list(_chunks(data))
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    assert depth == 8 and colour in (2, 6) and not interlace, "not a screenshot"
    step = 3 if colour == 2 else 4
    raw = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    rows, above = [], bytearray(width * step)
    for y in range(height):
        at = y * (width * step + 1)
        row = bytearray(raw[at + 1:at + 1 + width * step])
        above = _unfilter(raw[at], row, above, step) if raw[at] else row
        rows.append(list(zip(above[0::step], above[1::step], above[2::step])))
    return width, rows


def pack(data):
    width, rows = _pixels(data)
    frequent = collections.Counter(pixel for row in rows for pixel in row).most_common()
    palette = [colour for colour, _ in frequent[:COLOURS]]
    index = {colour: i for i, colour in enumerate(palette)}
    for colour, _ in frequent[COLOURS:]:
        index[colour] = min(range(COLOURS), key=lambda i: sum(
            (a - b) ** 2 for a, b in zip(palette[i], colour)))
    lines = b"".join(b"\0" + bytes(index[pixel] for pixel in row) for row in rows)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), 8, 3, 0, 0, 0)),
              (b"PLTE", b"".join(map(bytes, palette))), (b"IDAT", zlib.compress(lines, 9)),
              (b"IEND", b"")]
    return SIGNATURE + b"".join(struct.pack(">I", len(body)) + kind + body +
                                struct.pack(">I", zlib.crc32(kind + body))
                                for kind, body in chunks)
