"""The commands, a module for each group: they read options, call one function of a package and print its result.

Belongs here: arguments, options, help texts. Does not: the work itself (the packages), the printed text (output/).
"""
