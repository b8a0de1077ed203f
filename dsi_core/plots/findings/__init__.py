"""What a figure finds, in a sentence: a module for each module that draws.

Every function takes the table of the plot of its name and only counts and compares what stands in
it. So a title holds for the table drawn, whichever way the study came out.
"""
