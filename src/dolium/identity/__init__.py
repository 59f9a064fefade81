"""Who may: principals, the table of permissions, the decision, and access keys with their sealed secrets."""
