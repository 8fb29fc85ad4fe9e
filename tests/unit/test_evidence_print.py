"""The printed report of an export: the same bytes for the same content, accessible, and nothing in it is markup."""

from io import BytesIO

from pypdf import PdfReader

from projections.reading.evidence_print import print_out
from projections.reading.evidence_report import Line
from tests.prints import printed_words

ABOUT = {
    "patient": "p-1", "patients": "p-1, p-2", "events": "1", "made": "1 March 2026", "role": "auditor",
    "origin": "log.example/1", "size": "12", "root": "AAAA=", "key": "log.example+1234abcd+AAAA=",
}  # fmt: skip


def line(what: str = "Need raised: food & drink", *, is_gone: bool = False) -> Line:
    return Line("11", "1 March 2026", what, "care-plan.need-raised.v1", "", "Dr Made Up", "RXX", "now", "yes", is_gone)


def test_the_same_content_gives_the_same_bytes() -> None:
    assert print_out(ABOUT, [line()]) == print_out(ABOUT, [line()])
    assert print_out(ABOUT, [line()]) != print_out(ABOUT, [line("Need raised: money")])


def test_reading_software_finds_language_title_and_structure() -> None:
    reader = PdfReader(BytesIO(print_out(ABOUT, [line()])))
    root = reader.trailer["/Root"]
    assert root["/Lang"] == "en-GB"  # type: ignore[index]
    assert root["/MarkInfo"]["/Marked"]  # type: ignore[index]
    assert "/StructTreeRoot" in root  # type: ignore[operator]
    assert reader.metadata is not None
    assert reader.metadata.title == "Evidence of a record: patient p-1"
    assert b"pdfuaid" in reader.xmp_metadata.stream.get_data()  # type: ignore[union-attr]


def test_what_is_told_is_never_markup() -> None:
    told = printed_words(print_out(ABOUT | {"role": '#panic("x")'}, [line('*bold* #read("/etc/hostname") $x$ <b>')]))
    assert '*bold* #read("/etc/hostname") $x$ <b>' in told
    assert '#panic("x")' in told


def test_a_long_history_says_on_every_page_whose_log_it_is() -> None:
    reader = PdfReader(BytesIO(print_out(ABOUT, [line(f"Need {number}", is_gone=True) for number in range(200)])))
    texts = [page.extract_text() for page in reader.pages]
    assert len(texts) > 3
    assert all(
        f"log.example/1, checkpoint of 12 events · page {n} of {len(texts)}" in each for n, each in enumerate(texts, 1)
    )
