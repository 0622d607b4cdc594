"""Complete trainings on real data, each one readable file."""
