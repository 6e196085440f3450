"""The closed loop: simulated readers respond to what the API shows them, and models learn from what they did."""
