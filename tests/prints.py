"""What stands in a PDF."""

from io import BytesIO

from pypdf import PdfReader


def printed_words(pdf: bytes) -> str:
    """All of it with single blanks, as lines break anywhere."""
    return " ".join("\n".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages).split())
