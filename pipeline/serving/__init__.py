"""The HTTP service of a model: which model it serves, batches of concurrent requests, routes and metrics."""
