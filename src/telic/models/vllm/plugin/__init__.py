"""What runs inside vLLM: the scheduler, the logits processor, the worker's extension, the server's endpoint."""
