"""What training needs beside a generated module: data, weights files, the training loop, a command line.

Imports NumPy and the standard library, nothing of the compiler. From the ground up:

    beginning.py     what a command does before anything else is imported
    defaults.py      sizes of batches where nobody says another
    signals.py       how a command ends when it is asked to
    errors.py        the errors a user can meet, each saying what was expected, found, and what to do
    files.py         writing files so that a crash leaves the old ones or the new ones, never a mixture
    border.py        the one place where an exception becomes a message and an exit code
    cache_folder.py  where the cache is
    safetensors.py   named arrays in one file, and a reader that trusts nothing
    interface.py     what a generated module declares about its inputs and outputs
    modules.py       built modules, imported by their files
    data/            IDX files, MNIST and its stand-in, .npz files
    matching.py      saved arrays beside those of a network
    checkpoint.py    everything needed to continue a training run exactly, in one safetensors file
    weights.py       which file a run may replace, and which it may go on from
    evaluation.py    loss and accuracy on held-out data
    prediction.py    what a network says of many samples, a batch at a time
    tensors.py       tensors and tables as arrays, in the shapes of a model
    history.py       what a training has measured, its plot and its table
    batches.py       what an epoch is made of
    prefetch.py      batches made by a thread of their own
    augmentation.py  images that are changed in each epoch
    updates.py       one update, by one batch or the mean of several
    averages.py      moving averages of what is trained
    epochs.py        one epoch: updates, evaluation, what is undone
    checks.py        whether the arguments of `fit` make sense
    trainer.py       `fit`, the training loop
    callbacks/       what may be hooked into `fit`
    finding.py       a learning rate to begin with
    diagnosis.py     what goes on inside a network, and what is wrong with it
    confusion.py     where a classifier is wrong
    progress.py      a progress bar for terminals
    arguments.py     the options of these commands
    commands/        `evaluate`, `predict`, `find-lr`, `diagnose`, and what commands share
    cli.py           the `train` command
    __main__.py      the same for a module that is built already: `python -m runtime train generated/mnist`
"""
