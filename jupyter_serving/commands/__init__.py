"""What the verbs of ``jupyter serving`` do; ``cli`` imports them when they run."""
