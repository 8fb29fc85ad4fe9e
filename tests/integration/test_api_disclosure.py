"""Nothing that a patient was not told leaves by any route: not in bodies, headers, errors, counts or ETags."""

from datetime import date
from uuid import UUID, uuid4

from domain.appointment import AppointmentBooked
from domain.care_plan import NeedRaised, SupportSuggested
from domain.facts import CARE_PLAN, Coding
from domain.pathway import DiagnosisAgreed, InformedOfOutcome, StagedBeforeTreatment, Told
from domain.times import Occurred, on
from tests.api_world import APPOINTMENT, PATHWAY, World

CODE, NAME, CLINIC, SERVICE = "C43.9", "Xanthic malignoma", "Zephyr oncology clinic", "Quorra melanoma charity"
SECRETS = (CODE, "C43", NAME, CLINIC, SERVICE, "diagnosis-agreed", "staged-before", "support-suggested")
HIDDEN = (
    (PATHWAY, DiagnosisAgreed(icd10=CODE, name=NAME)),
    (PATHWAY, StagedBeforeTreatment(findings=())),
    (APPOINTMENT, AppointmentBooked(specialty=Coding(system="s", code="800", display=CLINIC))),
    (CARE_PLAN, SupportSuggested(support="hidden-support", service=SERVICE)),
    (CARE_PLAN, NeedRaised(need="hidden-need", concern="melanoma-worry")),
)


def readable(world: World, maria: UUID) -> list[str]:
    """Every GET route of one patient, as that patient would call it, with each document that it can show."""
    paths = []
    for path, operations in world.client.get("/openapi.json").json()["paths"].items():
        if "get" in operations and path.startswith(("/v1/me", "/v1/patients/{patient_id}")):
            concrete = path.replace("{patient_id}", str(maria))
            paths.append(concrete)
            if concrete.endswith("/why"):
                paths += [f"{concrete}?projection={each}&field=" for each in ("plan", "record", "summaries", "history")]
            if concrete.endswith(("/replay", "/diff")):
                paths += [
                    f"{concrete}?projection={each}&from=1&to=2026-12-31"
                    for each in ("plan", "record", "summaries", "history")
                ]
    return paths


def said(world: World, paths: list[str]) -> dict[str, str]:
    answers = {path: world.get(path, world.patient()) for path in paths}
    return {path: f"{each.text}\n{dict(each.headers)}" for path, each in answers.items()}


def test_nothing_undisclosed_leaves_by_any_route_until_it_is_told(world: World, maria: UUID) -> None:
    world.tell(*HIDDEN)
    world.fold()
    paths = readable(world, maria)
    assert len(paths) > 20
    for path, text in said(world, paths).items():
        assert [secret for secret in (*SECRETS, "hidden-need", "melanoma") if secret in text] == [], path
    world.tell((PATHWAY, InformedOfOutcome(told=(Told(what="diagnosis"), Told(what="stage")))), occurred=april())
    world.fold()
    told = said(world, ["/v1/me/record", "/v1/me/plan", "/v1/me/appointments", "/v1/me/history"])
    assert NAME in told["/v1/me/record"]
    assert SERVICE in told["/v1/me/plan"]
    assert CLINIC in told["/v1/me/appointments"]
    assert "diagnosis-agreed" in told["/v1/me/history"]


def april() -> Occurred:
    return on(date(2026, 4, 1))


def test_going_back_shows_no_more(world: World, maria: UUID) -> None:
    at = world.tell(*HIDDEN)
    for path in ("replay", "diff"):
        shown = world.get(f"/v1/me/{path}?position={at}&from=1&to={at}&projection=record", world.patient())
        assert shown.status_code == 200
        assert NAME not in shown.text


def test_an_answer_is_the_same_with_and_without_what_is_hidden(world: World, maria: UUID) -> None:
    """Content and the content's part of the ETag; the log's own positions say nothing of whom they are about."""
    paths = [path for path in readable(world, maria) if "accesses" not in path and "diff" not in path]
    before = {path: world.get(path, world.patient()) for path in paths if "replay" not in path and "why" not in path}
    world.tell(*HIDDEN)
    world.fold()
    for path, answer in before.items():
        after = world.get(path, world.patient())
        assert after.content == answer.content, path
        if answer.status_code == 403:
            continue
        assert after.headers["ETag"].partition(".")[2] == answer.headers["ETag"].partition(".")[2]
        same = world.get(path, {**world.patient(), "If-None-Match": answer.headers["ETag"]})
        assert same.status_code == 304, path


def test_why_says_of_what_is_hidden_what_it_says_of_nothing(world: World, maria: UUID) -> None:
    def told() -> list[dict[str, object]]:
        fields = {
            "record": ("/pathways", "/pathways/0/diagnosis", ""),
            "plan": ("/support/0", "/needs"),
            "history": ("",),
        }
        asked = [(projection, field) for projection, each in fields.items() for field in each]
        answers = [
            world.get("/v1/me/why", world.patient(), projection=projection, field=field).json()
            for projection, field in asked
        ]
        return [{name: each for name, each in answer.items() if name != "position"} for answer in answers]

    before = told()
    world.tell(*HIDDEN)
    world.fold()
    assert told() == before


def test_commands_know_no_more_than_the_patient(world: World, maria: UUID) -> None:
    tag = world.get("/v1/me/plan", world.patient()).headers["ETag"]
    world.tell(*HIDDEN)
    world.fold()
    appointment, change = APPOINTMENT.stream_id(maria), "/appointments/{}/change-requests"
    same = {"X-Correlation-ID": str(uuid4()), "X-Request-ID": str(uuid4())}
    who = world.patient() | same
    for hidden, absent, body in (
        ("/plan/support/hidden-support/acceptance", "/plan/support/none/acceptance", None),
        ("/plan/needs/hidden-need/resolution", "/plan/needs/none/resolution", {}),
        (change.format(appointment), change.format(uuid4()), {"wish": "cancel"}),
    ):
        answers = [world.command(f"/v1/me{path}", who, body) for path in (hidden, absent)]
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].content == answers[1].content
        assert dict(answers[0].headers) == dict(answers[1].headers)
    # What was suggested meanwhile is not open to her, so to her the plan is as she read it.
    raised = world.command("/v1/me/plan/needs", who, {"concern": "sleep"}, If_Match=tag)
    assert raised.status_code == 201
