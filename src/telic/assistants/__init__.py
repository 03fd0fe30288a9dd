"""Applications for one person at work: a digest of what is new, drafts of e-mail, a pair programmer."""
