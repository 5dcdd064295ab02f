"""What every room does with disks and with files of strangers: JSON, paths, writing whole or not at all, the Hub."""
