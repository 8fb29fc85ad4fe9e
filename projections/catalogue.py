"""Every projection. To add one, write its fold in a module of its own and name it here."""

from projections.folds.audit_trail import AUDIT_TRAIL
from projections.folds.care_team import CARE_TEAM
from projections.folds.folding import Projection
from projections.folds.patient_index import PATIENT_INDEX
from projections.folds.plan import PLAN
from projections.folds.record import RECORD
from projections.folds.treatment_summary import TREATMENT_SUMMARY

# Kept by the engine as documents.
STORED: tuple[Projection, ...] = (PLAN, RECORD, TREATMENT_SUMMARY, CARE_TEAM, PATIENT_INDEX)
# The audit trail grows with every event and few read it: it is folded when asked for, and never stored.
PROJECTIONS: tuple[Projection, ...] = (*STORED, AUDIT_TRAIL)
