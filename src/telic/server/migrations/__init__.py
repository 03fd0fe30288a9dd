"""How the tables of the live store came to be, step by step."""
