"""The platform on AWS as code: one CDK application of small stacks, and the plain facts that they share with the platform's own code.

Modules beside this file know no CDK, so that the platform's tests can compare them with the code; stacks/ builds on them.
"""
