"""What clients read: documents, histories, accesses, changes, evidence; each noted in the access log."""
