"""What is measured, one module per suite: `run(samples, options)`."""
