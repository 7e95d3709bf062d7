"""How tests start several processes, as on a machine with several GPUs."""

import os

# The launcher that starts one process per GPU; here the processes run on CPUs.
TWO_PROCESSES = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
ON_CPUS = {**os.environ, "ACCELERATE_USE_CPU": "true"}
