"""What happens when processes are killed, disks are full, and many want the same at once."""
