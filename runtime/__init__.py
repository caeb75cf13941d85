"""What training needs beside a generated module: data, weights files, the training loop, a command line.

Imports NumPy and the standard library, nothing of the compiler. From the ground up:

    errors.py        the errors a user can meet, each saying what was expected, found, and what to do
    files.py         writing a file so that a crash leaves the old one or the new one, never a mixture
    safetensors.py   named arrays in one file, and a reader that trusts nothing
    interface.py     what a generated module declares about its inputs and outputs
    data/            IDX files, MNIST and its stand-in, .npz files
    checkpoint.py    everything needed to continue a training run exactly, in one safetensors file
    evaluation.py    loss and accuracy on held-out data
    trainer.py       `fit`, the training loop
    callbacks.py     what may be hooked into `fit`
    progress.py      a progress bar for terminals
    arguments.py     the options of these commands
    cli.py           the `train` and `evaluate` commands
"""
