"""Applications for one person at work: e-mail drafts and a digest of what is new."""
