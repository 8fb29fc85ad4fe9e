-- Auditors who replay from the command line are in the access log like everyone who reads over HTTP. Runs as owner.

grant insert (patient_id, actor, role, organisation, purpose, outcome, projection, through_position, answer_hash,
    correlation_id) on access.reads to auditor;
