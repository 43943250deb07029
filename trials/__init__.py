"""What breaks things: killed runs, full disks, repeated runs, damaged files, near-duplicates."""
