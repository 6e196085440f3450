"""The canary in action: its state that gateways read, what was observed, who moves it.

The decision is a pure function in experiments/canary.py.
"""
