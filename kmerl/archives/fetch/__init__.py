"""The real archives and MERL's published split files: fetched from where they are published, and checked."""
