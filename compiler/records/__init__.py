"""What tuning has measured, kept: records, their SQLite database, and files to share them."""
