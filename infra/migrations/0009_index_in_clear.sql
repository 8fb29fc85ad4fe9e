-- The patient index held names and birth dates in clear up to its first version; its successor holds digests. Runs as
-- owner, who may act as the projector.
drop table if exists read.patient_index_v1;
delete from read.checkpoints where projection = 'patient_index_v1';
