"""What each kind of artifact looks like as text: one function per kind, path in, text out."""
