"""One training by several processes, on one machine or many: MPI, through mpi4py.

uncaught.py   an error of one process before they know each other
launch.py     whether mpiexec started this process, with how many others
ranks.py      how they train together: a word for each way
group.py      the processes: messages, waiting that leaves the processor to others, the end of all
exchange.py   what they exchange within a step
tree.py       the fixed tree in which lanes are added up
network.py    a network each step of which is shared
"""
