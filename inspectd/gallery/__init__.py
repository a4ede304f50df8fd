"""A gallery of ready crafted answers: what servers really send, right, odd and wrong, each with a name."""
