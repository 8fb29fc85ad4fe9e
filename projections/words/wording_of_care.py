"""Sentences of the facts of the pathway and of the plan."""

from datetime import date

from domain import care_plan, pathway
from domain.facts import Fact
from projections.words.phrases import Sentence, about, coding, codings, spaced, words


def score(told: int | None) -> str:
    return "" if told is None else f"scored {told} of 10"


def day(told: date | None) -> str:
    return f"due {told.isoformat()}" if told else ""


def diagnosis(fact: pathway.DiagnosisAgreed) -> str:
    """Name and codes: each code once, the ICD-10 code first."""
    codes = [fact.icd10 or "", *(each.code for each in fact.codes)]
    code = ", ".join(dict.fromkeys(each for each in codes if each))
    told = fact.name or next((each.display for each in fact.codes if each.display), None)
    return f"{told} ({code})" if told else code


def certainty(fact: pathway.DiagnosisAgreed) -> list[str]:
    return [
        coding(fact.laterality),
        coding(fact.morphology),
        f"certainty {fact.certainty}" if fact.certainty else "",
        f"basis {fact.basis}" if fact.basis else "",
        spaced(fact.relevance) if fact.relevance is not pathway.Relevance.CANCER else "",
    ]


def stage(fact: pathway.StagedBeforeTreatment | pathway.StagedIntegrated) -> str:
    found = ", ".join(f"{each.axis} {each.value}" for each in fact.findings)
    return f"{found} (edition {fact.edition})" if fact.edition else found


def treatment(fact: pathway.TreatmentStarted) -> str:
    modality = "" if fact.modality is pathway.Modality.NOT_RECORDED else spaced(fact.modality)
    name = fact.name or (fact.code.display if fact.code else None)
    return f"{name} ({modality})" if name and modality else name or modality or "kind of treatment not recorded"


def intent(told: pathway.Intent | None) -> str:
    return f"intent {spaced(told)}" if told else ""


def _told(fact: pathway.InformedOfOutcome) -> str:
    return ", ".join(words(spaced(each.what), each.code) for each in fact.told)


def _investigation(head: str) -> Sentence:
    return lambda f: about(head, f.name or coding(f.code), getattr(f, "result", None))


def _by(professional: str | None) -> str:
    return f"by {professional}" if professional else ""


PATHWAY: dict[type[Fact], Sentence] = {
    pathway.PathwayOpened: lambda f: about("Pathway opened", f.tumour_site, f.organisation),
    pathway.CancerSuspected: lambda f: about("Cancer suspected", f.tumour_site, codings(f.reasons)),
    pathway.InvestigationRequested: _investigation("Investigation requested"),
    pathway.InvestigationPerformed: _investigation("Investigation performed"),
    pathway.InvestigationReported: _investigation("Investigation reported"),
    pathway.ResultAcknowledgedByClinician: lambda f: about("Result acknowledged", _by(f.professional)),
    pathway.DiagnosisAgreed: lambda f: about("Diagnosis agreed", diagnosis(f), *certainty(f)),
    pathway.CancerRuledOut: lambda f: about("Cancer ruled out", f.reason),
    pathway.InformedOfOutcome: lambda f: about("Patient informed", _told(f), f.method, _by(f.professional)),
    pathway.FasterDiagnosisEnded: lambda f: about("Faster diagnosis clock ended", f.end_reason, f.exclusion_reason),
    pathway.StagedBeforeTreatment: lambda f: about("Staged before treatment", stage(f)),
    pathway.StagedIntegrated: lambda f: about("Integrated stage agreed", stage(f)),
    pathway.TumourMarkerMeasured: lambda f: about("Tumour marker measured", coding(f.marker), f.value),
    pathway.PerformanceStatusAssessed: lambda f: about("Performance status assessed", words(f.scale, f.value)),
    pathway.DiscussedAtMdt: lambda f: about(
        "Discussed at a multidisciplinary team meeting", f.meeting, f.recommendation, intent(f.intent)
    ),
    pathway.DecisionToTreatAgreed: lambda f: about("Decision to treat agreed", spaced(f.modality), intent(f.intent)),
    pathway.TreatmentStarted: lambda f: about("Treatment started", treatment(f), intent(f.intent), f.organisation),
    pathway.TreatmentEnded: lambda f: about("Treatment ended", spaced(f.modality), f.reason),
    pathway.TreatmentDeclined: lambda f: about("Treatment declined", spaced(f.modality)),
    pathway.TreatmentPhaseEnded: lambda f: about("Phase of treatment ended", f.phase, _by(f.professional)),
    pathway.CancerStateAssessed: lambda f: about("State of the cancer assessed", coding(f.finding)),
    pathway.CancerProgressed: lambda f: about("Cancer progressed", coding(f.code)),
    pathway.CancerRecurred: lambda f: about("Cancer recurred", f.extent, coding(f.code)),
    pathway.FollowUpStratified: lambda f: about("Follow-up route chosen", f.route, day(f.next_due)),
    pathway.PathwayClosed: lambda f: about("Pathway closed", f.reason),
}


def _concerns(fact: care_plan.AssessmentSubmitted) -> str:
    if not fact.concerns:
        return "no concerns"
    return "; ".join(words(each.concern, score(each.score), each.words) for each in fact.concerns)


CARE_PLAN: dict[type[Fact], Sentence] = {
    care_plan.AssessmentOffered: lambda f: about("Needs assessment offered", spaced(f.point)),
    care_plan.AssessmentDeclined: lambda f: about("Needs assessment declined", spaced(f.point)),
    care_plan.AssessmentSubmitted: lambda f: about("Needs assessment submitted", spaced(f.point), _concerns(f)),
    care_plan.PlanReceived: lambda f: about("Care plan received from another system", f.title, f.description),
    care_plan.StrengthNoted: lambda f: about("Strength noted", f.words),
    care_plan.NeedRaised: lambda f: about("Need raised", f.concern, score(f.score), f.words),
    care_plan.GoalSet: lambda f: about(
        "Goal set", f.words, "" if f.importance is None else f"importance {f.importance} of 10"
    ),
    care_plan.ActionAgreed: lambda f: about("Action agreed", f.what, _by(f.owner), day(f.due)),
    care_plan.ContingencyPlanSet: lambda f: about(
        "Contingency plan set",
        f.what_should_happen,
        f"in hours call {f.call_in_hours}" if f.call_in_hours else "",
        f"out of hours call {f.call_out_of_hours}" if f.call_out_of_hours else "",
    ),
    care_plan.SupportSuggested: lambda f: about("Support suggested", f.service, f.why, f.contact),
    care_plan.SupportOffered: lambda f: about("Support offered", f.service, f.contact),
    care_plan.SignpostGiven: lambda f: about("Information given about a service", f.service, f.contact),
    care_plan.SupportAccepted: lambda f: about("Support accepted", f.support),
    care_plan.SupportDeclined: lambda f: about("Support declined", f.support),
    care_plan.SupportStarted: lambda f: about("Support started", f.support),
    care_plan.SupportEnded: lambda f: about("Support ended", f.support),
    care_plan.ActionProgressed: lambda f: about("Action progressed", f.note),
    care_plan.ActionFinished: lambda f: about("Action finished", f.outcome),
    care_plan.ActionDropped: lambda f: about("Action dropped", f.reason),
    care_plan.GoalReviewed: lambda f: about("Goal reviewed", f.outcome),
    care_plan.NeedResolved: lambda f: about("Need resolved", f.outcome),
    care_plan.PlanAgreed: lambda f: about("Plan agreed", f"with {', '.join(f.with_whom)}" if f.with_whom else ""),
    care_plan.ReviewScheduled: lambda f: about("Review scheduled", day(f.due), _by(f.owner)),
    care_plan.ReviewHeld: lambda f: about("Review held", f.summary),
}
