"""Labels from reports (paper section 2.4): extract, verify, merge, group into superclasses, set bits.

Every step asks an engine questions in the OpenAI batch format and checks the answers; see ``engines``.
"""
