"""How tests start several processes, as on a machine with several GPUs."""

import os

# The launcher that starts one process per GPU; here the processes run on CPUs.
# Port 0 means any free port, so that several tests can start processes at the same time.
TWO_PROCESSES = (
    *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
    *("--main_process_port", "0"),
)
ON_CPUS = {**os.environ, "ACCELERATE_USE_CPU": "true"}
