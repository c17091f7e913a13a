"""What a process tells about itself: JSON logs, metrics and traces."""
