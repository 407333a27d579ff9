"""Programs and apps that tests run in processes of their own, by their path."""
