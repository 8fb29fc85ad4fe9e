"""Invented hospitals, the people who work there, and what they find and give at each tumour site."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.facts import Agent, Coding
from domain.pathway import Intent, Modality

SNOMED = "http://snomed.info/sct"
TREATMENT_FUNCTION = "https://fhir.nhs.uk/CodeSystem/Specialty-1"
LEFT = Coding(system=SNOMED, code="7771000", display="Left")
RIGHT = Coding(system=SNOMED, code="24028007", display="Right")
PRACTICE = "Z99901"


@dataclass(frozen=True)
class Professional:
    """`identifier` is what the person's staff login carries, and what a fact about them names."""

    identifier: str
    name: str
    role: str
    organisation: str
    telephone: str

    @property
    def agent(self) -> Agent:
        return Agent(kind="professional", identifier=self.identifier, name=self.name, role=self.role)


@dataclass(frozen=True)
class Hospital:
    """An NHS trust with two source systems: patient administration, and cancer information."""

    ods: str
    name: str
    place: str
    nurse: Professional

    def source(self, system: str) -> str:
        """`system` is pas (people, referrals, appointments) or cis (pathways and plans)."""
        return f"/nhs/england/{self.ods}/{system}/prod"

    @property
    def number_system(self) -> str:
        """Under which the hospital's own patient numbers are unique."""
        return f"https://fhir.{self.ods.lower()}.example/Id/hospital-number"


@dataclass(frozen=True)
class Treatment:
    key: str
    name: str
    modality: Modality
    after_days: int
    lasts_days: int
    intent: Intent = Intent.CURATIVE


@dataclass(frozen=True)
class Site:
    """A tumour site: words, codes, and a usual course."""

    name: str
    icd10: str
    diagnosis: str
    specialty: Coding
    suspicion: str
    investigations: Sequence[tuple[str, str, str]]
    stage: tuple[str, str, str, str]
    treatments: Sequence[Treatment]
    paired: bool = False
    gender: str | None = None
    urgent_signs: Sequence[str] = ()
    late_effects: Sequence[str] = ()


CONSULTANT = Professional(
    "555000000101", "Dr Oluwaseun Harcourt", "Consultant clinical oncologist", "RZ1", "01632 960101"
)
NURSE = Professional("555000000201", "Bethan Pryce", "Cancer nurse specialist", "RZ1", "01632 960201")
HOSPITALS = (
    Hospital("RZ1", "Eastermere General Hospitals NHS Trust", "Larch Suite, Eastermere General", NURSE),
    Hospital(
        "RZ2",
        "Northbeck University Hospital NHS Trust",
        "Outpatients 4, Northbeck University Hospital",
        Professional("555000000202", "Tomasz Zielinski", "Cancer nurse specialist", "RZ2", "01632 960202"),
    ),
    Hospital(
        "RZ3",
        "Saltmarsh and Wolvenford NHS Trust",
        "Clinic B, Saltmarsh Hospital",
        Professional("555000000203", "Amara Nwosu", "Cancer nurse specialist", "RZ3", "01632 960203"),
    ),
)


def _function(code: str, display: str) -> Coding:
    return Coding(system=TREATMENT_FUNCTION, code=code, display=display)


BREAST = Site(
    "breast",
    "C50.4",
    "Invasive ductal carcinoma, upper outer quadrant of breast",
    _function("103", "Breast Surgery"),
    "Breast lump",
    (("mammogram", "Mammogram", "Suspicious mass, 22 mm"), ("biopsy", "Core biopsy", "Invasive ductal carcinoma")),
    ("2", "0", "0", "IIA"),
    (
        Treatment("wide-local-excision", "Wide local excision", Modality.SURGERY, 12, 1),
        Treatment("radiotherapy", "Whole breast radiotherapy", Modality.EXTERNAL_BEAM, 45, 21),
        Treatment("endocrine", "Letrozole", Modality.HORMONE, 80, 1500),
    ),
    paired=True,
    gender="female",
    urgent_signs=("A temperature of 38 °C or more during treatment", "Sudden back pain with weakness in the legs"),
    late_effects=("Swelling of the arm on the treated side", "A new lump or skin change in either breast"),
)
PROSTATE = Site(
    "prostate",
    "C61",
    "Adenocarcinoma of prostate",
    _function("101", "Urology"),
    "Raised PSA",
    (
        ("mri-prostate", "Multiparametric MRI of prostate", "PI-RADS 5 lesion, left mid gland"),
        ("biopsy", "Transperineal biopsy", "Gleason 4+3=7"),
    ),
    ("2", "0", "0", "II"),
    (
        Treatment("hormone", "Goserelin", Modality.HORMONE, 10, 180),
        Treatment("radiotherapy", "Prostate radiotherapy", Modality.EXTERNAL_BEAM, 70, 28),
    ),
    gender="male",
    urgent_signs=("Not being able to pass urine", "New weakness or numbness in the legs"),
    late_effects=("Bleeding from the bowel", "Hot flushes and tiredness"),
)
LUNG = Site(
    "lung",
    "C34.1",
    "Adenocarcinoma of upper lobe of lung",
    _function("340", "Respiratory Medicine"),
    "Cough for six weeks with weight loss",
    (
        ("chest-x-ray", "Chest X-ray", "Opacity in upper zone"),
        ("ct", "CT of chest and abdomen", "41 mm mass, upper lobe"),
        ("biopsy", "CT-guided biopsy", "Adenocarcinoma"),
    ),
    ("2", "1", "0", "IIB"),
    (Treatment("chemoradiotherapy", "Concurrent chemoradiotherapy", Modality.CHEMORADIOTHERAPY, 14, 45),),
    paired=True,
    urgent_signs=("Coughing up blood", "Sudden breathlessness", "A temperature of 38 °C or more"),
    late_effects=("Breathlessness that gets worse", "Difficulty in swallowing"),
)
BOWEL = Site(
    "bowel",
    "C18.7",
    "Adenocarcinoma of sigmoid colon",
    _function("104", "Colorectal Surgery"),
    "Rectal bleeding and change of bowel habit",
    (
        ("fit", "Faecal immunochemical test", "88 micrograms per gram"),
        ("colonoscopy", "Colonoscopy", "Ulcerated lesion of the sigmoid colon, biopsied"),
        ("ct", "CT of chest, abdomen and pelvis", "No distant spread seen"),
    ),
    ("3", "1", "0", "IIIB"),
    (
        Treatment("sigmoid-colectomy", "Laparoscopic sigmoid colectomy", Modality.SURGERY, 15, 1),
        Treatment("chemotherapy", "Capecitabine and oxaliplatin", Modality.CYTOTOXIC, 56, 84),
    ),
    urgent_signs=("Severe stomach pain with vomiting", "A temperature of 38 °C or more during chemotherapy"),
    late_effects=("Numbness of hands or feet", "Blood in the stool"),
)
MELANOMA = Site(
    "skin",
    "C43.5",
    "Malignant melanoma of trunk",
    _function("330", "Dermatology"),
    "Changing mole on the back",
    (("excision-biopsy", "Excision biopsy", "Superficial spreading melanoma, Breslow 1.8 mm"),),
    ("2a", "0", "0", "IB"),
    (Treatment("wide-excision", "Wide local excision", Modality.SURGERY, 21, 1),),
    late_effects=("A new or changing mole", "A lump under the skin near the scar"),
)
LYMPHOMA = Site(
    "haematological",
    "C81.9",
    "Hodgkin lymphoma",
    _function("303", "Clinical Haematology"),
    "Swollen glands in the neck with night sweats",
    (("biopsy", "Lymph node biopsy", "Classical Hodgkin lymphoma"), ("pet-ct", "PET-CT", "Two sites above diaphragm")),
    ("not applicable", "not applicable", "not applicable", "II"),
    (Treatment("chemotherapy", "Doxorubicin, bleomycin, vinblastine, dacarbazine", Modality.CYTOTOXIC, 10, 112),),
    urgent_signs=("A temperature of 38 °C or more",),
    late_effects=("Breathlessness", "A new swelling"),
)
SITES = (BREAST, PROSTATE, LUNG, BOWEL, MELANOMA, LYMPHOMA)
