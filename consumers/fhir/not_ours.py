"""FHIR resource types that are well-formed and that no cancer plan uses, with the words that say so."""

from collections.abc import Mapping
from types import MappingProxyType

_WORDS: tuple[tuple[str, str], ...] = (
    (
        "billing, which no cancer plan uses",
        """Account ChargeItem ChargeItemDefinition Claim ClaimResponse Contract Coverage CoverageEligibilityRequest
        CoverageEligibilityResponse EligibilityRequest EligibilityResponse EnrollmentRequest EnrollmentResponse
        ExplanationOfBenefit InsurancePlan Invoice PaymentNotice PaymentReconciliation ProcessRequest
        ProcessResponse""",
    ),
    (
        "a directory record of who or what gives care; it is read only where another resource refers to it",
        """Device DeviceComponent DeviceDefinition DeviceMetric Endpoint HealthcareService Location Organization
        OrganizationAffiliation Person Practitioner PractitionerRole Schedule Slot VerificationResult""",
    ),
    (
        "a definition of terms, structures or services, not about a person",
        """ActivityDefinition CapabilityStatement CatalogEntry CodeSystem CompartmentDefinition ConceptMap DataElement
        EffectEvidenceSynthesis EventDefinition Evidence EvidenceVariable ExampleScenario ExpansionProfile
        GraphDefinition ImplementationGuide Library Measure MessageDefinition NamingSystem ObservationDefinition
        OperationDefinition PlanDefinition Questionnaire ResearchDefinition ResearchElementDefinition
        RiskEvidenceSynthesis SearchParameter ServiceDefinition SpecimenDefinition StructureDefinition StructureMap
        TerminologyCapabilities TestReport TestScript ValueSet""",
    ),
    (
        "part of how systems talk to each other, not about a person's care",
        "AuditEvent Binary Linkage MessageHeader OperationOutcome Provenance Subscription",
    ),
    ("a document or a pointer to one; its content is not read", "Composition DocumentManifest DocumentReference Media"),
    ("an immunisation, which no cancer plan uses", "Immunization ImmunizationEvaluation ImmunizationRecommendation"),
    (
        "supply or description of medicines, not that one was given",
        """Medication MedicationDispense MedicationKnowledge MedicinalProduct SupplyDelivery SupplyRequest
        SubstanceSpecification Substance BiologicallyDerivedProduct DeviceRequest DeviceUseStatement""",
    ),
    (
        "a report whose findings are read from its observations",
        "DiagnosticReport ImagingStudy ImagingManifest MolecularSequence Sequence Specimen BodySite BodyStructure",
    ),
    ("a list of references; what it refers to comes by itself", "Basic EpisodeOfCare List Group"),
    (
        "a clinical record that the plan does not use yet",
        """AdverseEvent AllergyIntolerance AppointmentResponse ClinicalImpression Communication CommunicationRequest
        DetectedIssue FamilyMemberHistory Flag GuidanceResponse MeasureReport NutritionOrder QuestionnaireResponse
        RequestGroup ResearchStudy ResearchSubject RiskAssessment Task VisionPrescription""",
    ),
    ("a relation or a consent that the plan does not act on yet", "Consent RelatedPerson"),
)
NOT_OURS: Mapping[str, str] = MappingProxyType({kind: words for words, kinds in _WORDS for kind in kinds.split()})
