"""Every projection. To add one, write its fold in a module of its own and name it here."""

from projections.audit_trail import AUDIT_TRAIL
from projections.care_team import CARE_TEAM
from projections.folding import Projection
from projections.patient_index import PATIENT_INDEX
from projections.plan import PLAN
from projections.record import RECORD
from projections.treatment_summary import TREATMENT_SUMMARY

PROJECTIONS: tuple[Projection, ...] = (PLAN, RECORD, TREATMENT_SUMMARY, AUDIT_TRAIL, CARE_TEAM, PATIENT_INDEX)
