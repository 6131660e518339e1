"""What a table says, as blocks of text and numbers, and how it is written: Markdown for people, HTML for the page."""
