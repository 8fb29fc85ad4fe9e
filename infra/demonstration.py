"""The demo while the system runs: how many people are sent, and a line for each story once it can be read."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from infra.custody.providers import key_provider
from infra.demo import DEMO_SEED, Connection, is_readable, patient_with
from infra.keys import KeyRing
from infra.settings import Role, Settings
from infra.synthetic.journeys import Journey, stories
from infra.synthetic.simulate import Told, read_told, write_told

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 180.0
_READERS = {"corrected": "auditor"}  # everyone else's story is read as the patient


class Demonstration:
    """`go_on` is called often and does a little; `to` says by which door the people come."""

    def __init__(self, settings: Settings, console: Console, to: str) -> None:
        self._settings = settings
        self._console = console
        self._keys = KeyRing(key_provider(settings))
        self._begun = _begin(settings)
        patients = str(settings.demo_patients)
        options = ("--patients", patients, "--seed", str(DEMO_SEED), "--to", to, "--resume")
        self.command = ("infra", "simulate", *options)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task("Sending demo people", total=settings.demo_patients)
        self._waiting = self._stories()
        self._shown = self._begun.people
        self._next_look = 0.0
        self._give_up: float | None = None

    @property
    def is_wanted(self) -> bool:
        return self._begun.people < self._settings.demo_patients

    def _stories(self) -> list[Journey]:
        return stories(DEMO_SEED, self._settings.demo_patients, self._begun.day)

    @contextmanager
    def showing(self) -> Iterator[None]:
        with self._progress:
            yield

    def go_on(self, *, is_sent: bool) -> None:
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        self._show_progress(is_sent=is_sent)
        if self._waiting:
            self._tell_stories(is_sent=is_sent)

    def _show_progress(self, *, is_sent: bool) -> None:
        told = read_told(self._settings.data_dir, DEMO_SEED) or self._begun
        self._progress.update(self._task, completed=told.people, visible=not is_sent)
        step = max(1, self._settings.demo_patients // 5)
        if not self._console.is_terminal and told.people > self._shown and (told.people // step > self._shown // step):
            self._say(f"Sent {told.people} of {self._settings.demo_patients} demo people")
        self._shown = told.people

    def _tell_stories(self, *, is_sent: bool) -> None:
        """Each when it can be read; once all is sent, patience has an end, and says so."""
        if is_sent and self._give_up is None:
            self._give_up = time.monotonic() + PATIENCE_SECONDS
        try:
            self._tell_readable()
        except psycopg.Error as error:
            self._say(f"The demo people cannot be looked up at the moment ({type(error).__name__})")
        if self._waiting and self._give_up is not None and time.monotonic() > self._give_up:
            self._say(f"{len(self._waiting)} demo stories cannot be read yet: see `python -m consumers rejected list`")
            self._waiting = []

    def _tell_readable(self) -> None:
        with psycopg.connect(self._settings.database_url(Role.READER), autocommit=True) as reader:
            for journey in [each for each in self._waiting if is_readable(reader, self._keys, each)]:
                self._tell(reader, journey)
                self._waiting.remove(journey)

    def _tell(self, reader: Connection, journey: Journey) -> None:
        story = journey.story
        if story is None:
            return
        patient_id = patient_with(reader, self._keys, journey.person.nhs_number)
        role = _READERS.get(story.name, "patient")
        self._say(f"{story.shows}: make token ROLE={role} PATIENT={patient_id}")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _begin(settings: Settings) -> Told:
    """What was sent before; where nothing was, the demo's last day is today, and stays so."""
    told = read_told(settings.data_dir, DEMO_SEED)
    if told is None:
        told = Told(DEMO_SEED, date.today())  # noqa: DTZ011 - the day at this machine is what its user sees
        write_told(settings.data_dir, told)
    return told
