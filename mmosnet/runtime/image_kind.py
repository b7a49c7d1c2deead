"""What kind of image a file holds, told by its first bytes, and what to do about kinds that are not read.

A decoder is only started for the kind that was found: Pillow left to itself tries all it has, and hands PostScript to
the program Ghostscript.
"""

from __future__ import annotations

import re

# Enough to see what a text is.
HEAD_BYTES = 4096
# Regular expressions of what files of the kinds that are read begin with, and what Pillow calls these.
READ_KINDS = {
    rb'\xff\xd8\xff': 'JPEG',
    rb'\x89PNG\r\n\x1a\n': 'PNG',
    rb'RIFF....WEBP': 'WEBP',
    rb'BM': 'BMP',
    rb'GIF8[79]a': 'GIF',
    rb'II[*+]\x00(?!....CR)|MM\x00[*+]': 'TIFF',
    rb'P[1-6fF]\s': 'PPM',
    rb'\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51': 'JPEG2000',
    rb'....ftyp(avif|avis|.{4,60}avif)': 'AVIF',
}
CONVERT = 'convert it to JPEG or PNG'
RAW = f'a raw photo of a camera: {CONVERT}'
OTHER_KINDS = {
    rb'....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)': f'a HEIC photo, as iPhones take: {CONVERT}',
    rb'....ftypcrx |II[*]\x00....CR|FUJIFILMCCD-RAW|IIU\x00|IIR[OS]|MMOR|\x00MRM': RAW,
    rb'....ftyp|\x1aE\xdf\xa3|RIFF....AVI |\x00\x00\x01\xba|FLV\x01': 'a video: give it a suffix of videos, as .mp4',
    rb'\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n': f'a JPEG XL image: {CONVERT}',
    rb'%!PS|\xc5\xd0\xd3\xc6': f'PostScript, a program that draws: {CONVERT}',
    rb'%PDF': 'a PDF: save its pages as PNG',
    rb'v/1\x01': f'an OpenEXR image, of floating-point numbers: {CONVERT}',
    rb'#\?(RADIANCE|RGBE)': f'a Radiance HDR image, of floating-point numbers: {CONVERT}',
    rb'8BPS': f'a Photoshop file: {CONVERT}',
    rb'\x00\x00[\x01\x02]\x00': f'an icon: {CONVERT}',
    rb'DDS |qoif|SIMPLE  =|.{128}DICM': f'an image of a kind that is not read (DDS, QOI, FITS, DICOM): {CONVERT}',
    rb'PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ': 'an archive: unpack it',
    rb'\x89HDF': 'an HDF5 file',
    rb'version https://git-lfs': 'a pointer of git-lfs: download the file itself, git lfs pull',
    rb'(\xef\xbb\xbf)?\s*(<[?!][^>]*>\s*)*<svg': f'an SVG drawing: {CONVERT}',
    rb'(?i)(\xef\xbb\xbf)?\s*(<[?!][^>]*>\s*)*<(!doctype html|html|head|body)': 'a web page: download the image itself',
}
UNKNOWN = 'no image of a kind that is read: JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, JPEG 2000, PPM'


def image_kind(head: bytes) -> str:
    """Tell which decoder an image needs.

    Args:
        head: The first :data:`HEAD_BYTES` of a file, or all of it.

    Returns:
        Pillow's name of the format, one of :data:`READ_KINDS`.

    Raises:
        ValueError: A kind that is not read; says which and what to do.
    """
    head = head[:HEAD_BYTES]
    for start, kind in (*READ_KINDS.items(), *OTHER_KINDS.items()):
        if re.match(start, head, re.DOTALL):
            if kind in READ_KINDS.values():
                return kind
            raise ValueError(kind)
    if not head:
        raise ValueError('an empty file')
    raise ValueError('zeros, as an interrupted copy leaves' if not head.strip(b'\0') else UNKNOWN)
