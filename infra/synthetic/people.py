"""Invented people: names of many communities, NHS numbers of the range kept for tests. Nobody here exists."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from nhs_number.validate import calculate_checksum

DAYS_OF_A_YEAR = 365.25


@dataclass(frozen=True)
class Community:
    """`ethnicity` is a code of the 2001 census list (16+1); `languages` are BCP 47, with their usual shares."""

    ethnicity: str
    ethnicity_name: str
    families: Sequence[str]
    women: Sequence[str]
    men: Sequence[str]
    languages: Sequence[str] = ("en",)
    share: int = 1


@dataclass(frozen=True)
class Person:
    """One invented person, the same for the same seed and index on every machine."""

    index: int
    nhs_number: str
    hospital_number: str
    family: str
    given: tuple[str, ...]
    gender: str
    birth_date: date
    street: str
    town: str
    postcode: str
    telephone: str
    language: str
    interpreter_needed: bool
    ethnicity: str
    ethnicity_name: str

    @property
    def name(self) -> str:
        return " ".join((*self.given, self.family))


COMMUNITIES = (
    Community(
        "A",
        "White - British",
        ("Ashworth", "Birtwistle", "Cartwright", "Dunmore", "Ellerby", "Fothergill", "Greenhalgh", "Holroyd", "Kemble"),
        ("Margaret", "Susan", "Janet", "Helen", "Carol", "Ruth", "Alison", "Gemma"),
        ("Alan", "Brian", "Kevin", "Trevor", "Malcolm", "Stuart", "Callum", "Geoffrey"),
        share=12,
    ),
    Community("B", "White - Irish", ("Costigan", "Devaney", "Mulhern"), ("Bridie", "Sinead"), ("Declan", "Eoin")),
    Community(
        "C",
        "White - any other White background",
        ("Wojcik", "Nowacka", "Ionescu", "Petkova", "Duarte"),
        ("Agnieszka", "Elena", "Maria", "Ivana"),
        ("Piotr", "Andrei", "Joao", "Marek"),
        ("pl", "ro", "pt", "en"),
        share=3,
    ),
    Community(
        "H",
        "Asian or Asian British - Indian",
        ("Patel", "Sandhu", "Iyer", "Chaudhari", "Gill"),
        ("Meena", "Harpreet", "Lakshmi", "Kavita"),
        ("Rajesh", "Gurdeep", "Suresh", "Anil"),
        ("en", "gu", "pa"),
        share=2,
    ),
    Community(
        "J",
        "Asian or Asian British - Pakistani",
        ("Akhtar", "Mahmood", "Qureshi", "Butt"),
        ("Nasreen", "Shazia", "Rukhsana"),
        ("Tariq", "Imran", "Zahid"),
        ("ur", "en"),
        share=2,
    ),
    Community(
        "K",
        "Asian or Asian British - Bangladeshi",
        ("Begum", "Miah", "Uddin"),
        ("Rahela", "Sultana"),
        ("Abdul", "Faruk"),
        ("bn", "en"),
    ),
    Community(
        "M",
        "Black or Black British - Caribbean",
        ("Braithwaite", "Cumberbatch", "Lamming"),
        ("Marcia", "Yvonne", "Delroyne"),
        ("Winston", "Errol", "Leroy"),
    ),
    Community(
        "N",
        "Black or Black British - African",
        ("Okafor", "Adeyemi", "Mensah", "Warsame"),
        ("Ngozi", "Abena", "Hodan"),
        ("Chinedu", "Kwame", "Abdi"),
        ("en", "yo", "so"),
        share=2,
    ),
    Community("R", "Chinese", ("Cheung", "Lau", "Zhao"), ("Mei Ling", "Xiu"), ("Wai Man", "Jun"), ("yue", "zh", "en")),
)
_STREETS = ("Larkspur Road", "Tannery Lane", "Millpond Close", "Beacon Terrace", "Orchard Rise", "Kiln Street")
_TOWNS = ("Eastermere", "Northbeck", "Wolvenford", "Saltmarsh")
_NO_CHECK_DIGIT = 10
_POSTCODE_LETTERS = "ABDEFGHJLNPQRSTUWXYZ"


def person(
    seed: int,
    index: int,
    today: date,
    *,
    gender: str | None = None,
    age: int | None = None,
    language: str | None = None,
) -> Person:
    """Person `index` of `seed`; a story may fix gender, age in years on `today`, or the language."""
    chance = random.Random(f"person {seed}/{index}")
    community = _community(chance, language)
    gender = gender or chance.choice(("female", "male"))
    speaks = language or chance.choice(community.languages)
    given = chance.choice(community.women if gender == "female" else community.men)
    years = chance.triangular(28, 92, 68) if age is None else age + 0.5
    return Person(
        index=index,
        nhs_number=nhs_number(seed, index),
        hospital_number=f"{seed % 100:02d}{index:06d}",
        family=chance.choice(community.families),
        given=(given,),
        gender=gender,
        birth_date=today - timedelta(days=int(years * DAYS_OF_A_YEAR) + chance.randrange(150)),
        street=f"{chance.randint(1, 140)} {chance.choice(_STREETS)}",
        town=chance.choice(_TOWNS),
        postcode=f"ZZ99 {chance.randint(1, 9)}{''.join(chance.choices(_POSTCODE_LETTERS, k=2))}",
        telephone=f"01632 960{chance.randrange(1000):03d}",  # a range that Ofcom keeps for fiction
        language=speaks,
        interpreter_needed=speaks != "en" and (language is not None or chance.random() < 0.5),
        ethnicity=community.ethnicity,
        ethnicity_name=community.ethnicity_name,
    )


def nhs_number(seed: int, index: int) -> str:
    """Valid by its check digit, in 999 000 0000 - 999 999 9999; different for the first 100,000 people of a seed.

    Seeds that differ modulo five never share a number. Of two consecutive ninth digits at least one has a check
    digit, because the sums that have none are eleven apart and the digit's weight is two.
    """
    stem = f"999{(index * 70_001 + 31_337) % 100_000:05d}"
    stems = (f"{stem}{last}" for last in (seed % 5 * 2, seed % 5 * 2 + 1))
    return next(f"{each}{check}" for each in stems if (check := calculate_checksum(each)) != _NO_CHECK_DIGIT)


def _community(chance: random.Random, language: str | None) -> Community:
    able = [each for each in COMMUNITIES if language is None or language in each.languages]
    return chance.choices(able, [each.share for each in able])[0]
