"""The tool chain: from generated text to a module that can be imported, through the cache.

In: a model file and options. Out: files, or the error of a tool in words.
Nothing that changes what a module computes may enter.
"""
