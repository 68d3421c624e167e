"""One model over several processes: a launcher, rank 0 that leads, and the ranks that follow it."""
