"""Whether what is recommended works: policies judged by what was shown and clicked."""
