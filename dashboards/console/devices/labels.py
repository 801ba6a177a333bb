"""Draws sheets of labels as PDF: QR code, device id, model and the code to type. Synchronous.

The font is Noto Sans SC (SIL Open Font License); what is used of it goes into the file, so that
Chinese is printed the same on every machine. Sizes are in millimetres on A4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pylopdf_fonts_zh_cn
import segno
from fpdf import FPDF

PDF_TYPE = "application/pdf"
_FONT = "noto"
_PAD = 2.5
# Sheets without a border are as wide as the paper, and no printer prints up to its edge.
_PAGE_WIDTH, _UNPRINTED = 210.0, 5.0
_POINT = 25.4 / 72
_SMALLEST = 6.0
_FOLDED = 7.5


@dataclass(frozen=True, slots=True)
class Paper:
    """How labels lie on a sheet of A4: their size, the first one's corner, the gaps between."""

    columns: int
    rows: int
    width: float
    height: float
    left: float
    top: float
    gap: float

    @property
    def labels(self) -> int:
        """How many labels a sheet has."""
        return self.columns * self.rows


# Sold everywhere; the numbers of the common makers' sheets stand beside them on the page.
PAPERS: Mapping[str, Paper] = {
    "24": Paper(3, 8, 70.0, 37.0, 0.0, 0.5, 0.0),
    "21": Paper(3, 7, 63.5, 38.1, 7.25, 15.15, 2.5),
    "14": Paper(2, 7, 99.1, 38.1, 4.65, 15.15, 2.5),
}


@dataclass(frozen=True, slots=True)
class Label:
    """What a label says. `link` is in the QR code; the others are lines of text."""

    link: str
    device_id: str
    model: str
    code: str
    note: str
    expiry: str


def draw(labels: Sequence[Label], paper: Paper, title: str) -> bytes:
    """Return the PDF. A hundred labels take a second or two of the processor."""
    pdf = FPDF(format="A4", unit="mm")
    pdf.set_auto_page_break(False)
    pdf.set_title(title)
    pdf.set_creator("Silverline")
    pdf.add_font(_FONT, fname=pylopdf_fonts_zh_cn.sans_path())
    for index, label in enumerate(labels):
        place = index % paper.labels
        if place == 0:
            pdf.add_page()
        row, column = divmod(place, paper.columns)
        _one(
            pdf,
            label,
            paper.left + column * (paper.width + paper.gap),
            paper.top + row * paper.height,
            paper,
        )
    return bytes(pdf.output())


def _one(pdf: FPDF, label: Label, x: float, y: float, paper: Paper) -> None:
    side = min(paper.height - 4 * _PAD, 25.0)
    begin = max(x + _PAD + 1, _UNPRINTED)
    _qr(pdf, label.link, begin, y + (paper.height - side) / 2, side)
    left = begin + side + _PAD + 0.5
    width = min(x + paper.width - _PAD, _PAGE_WIDTH - _UNPRINTED) - left
    top = y + (paper.height - side) / 2 - 1
    names = _folded(pdf, label.device_id, width)
    for text in names:
        top = _text(pdf, text, left, top, width, 12 if len(names) == 1 else _FOLDED)
    top = _text(pdf, label.model, left, top, width, 9)
    top = _text(pdf, label.code, left, top + 0.6, width, 13) + 0.6
    top = _text(pdf, label.note, left, top, width, 7.5)
    _text(pdf, label.expiry, left, top, width, 7.5)


def _folded(pdf: FPDF, text: str, width: float) -> list[str]:
    """Return one line, or pieces of what is too long for one, parted behind a dash if possible."""
    pdf.set_font(_FONT, size=_FOLDED)
    lines = [""]
    for char in text:
        if pdf.get_string_width(lines[-1] + char) > width:
            whole = lines[-1].rfind("-") + 1 or len(lines[-1])
            lines[-1:] = [lines[-1][:whole], lines[-1][whole:]]
        lines[-1] += char
    return lines


def _text(pdf: FPDF, text: str, x: float, top: float, width: float, size: float) -> float:
    """Write a line below `top`, smaller where it is too long; return where it ends."""
    if not text:
        return top
    pdf.set_font(_FONT, size=size)
    while size > _SMALLEST and pdf.get_string_width(text) > width:
        size -= 0.5
        pdf.set_font(_FONT, size=size)
    while len(text) > 1 and pdf.get_string_width(text) > width:
        text = text[:-2] + "…"
    height = size * _POINT * 1.3
    pdf.text(x, top + height * 0.8, text)
    return top + height


def _qr(pdf: FPDF, link: str, x: float, y: float, side: float) -> None:
    # 15 % of the code may be scratched off and it still reads.
    matrix = segno.make(link, error="m", micro=False).matrix
    module = side / len(matrix)
    for row, line in enumerate(matrix):
        column = 0
        while column < len(line):
            if not line[column]:
                column += 1
                continue
            run = column
            while run < len(line) and line[run]:
                run += 1
            # One rectangle for neighbours: no hairlines between them, and a third of the file.
            pdf.rect(x + column * module, y + row * module, (run - column) * module, module, "F")
            column = run
