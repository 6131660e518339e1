"""One room for each evaluation: its parameters, what it computes, its tables and its figures."""
