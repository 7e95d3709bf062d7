"""A load test of the page with 200 people who type at the same time: `python -m benchmarks.robustness.soak`.

For five minutes each of them types tweets letter by letter and asks for suggestions at every letter, as the page does.
The answers by status, quantiles of the latency and the server's memory at five moments go to
`benchmarks/results/soak.json`.
"""

import argparse
import asyncio
import random
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
from tqdm import tqdm

from benchmarks.common import write_results
from src.examples import PROMPTS, TWEETS

NUM_WRITERS = 200
SECONDS = 300
SECONDS_BETWEEN_LETTERS = (0.1, 0.4)
MODEL = "LSTM int8"


async def write(client: httpx.AsyncClient, seed: int, until: float, seconds: list[float], answers: Counter) -> None:
    """Type one text after another; count every answer by its status and every failure by its name."""
    rng = random.Random(seed)
    while True:
        text = rng.choice([*PROMPTS, *TWEETS])
        for end in range(1, len(text) + 1):
            await asyncio.sleep(rng.uniform(*SECONDS_BETWEEN_LETTERS))
            if time.monotonic() > until:
                return
            started = time.perf_counter()
            try:
                answer = await client.post("/suggestions", json={"model": MODEL, "text": text[:end]})
                answers[str(answer.status_code)] += 1
                if answer.status_code == 200:
                    seconds.append(time.perf_counter() - started)
            except httpx.HTTPError as error:
                answers[type(error).__name__] += 1


async def soak(address: str, server_pid: int, num_writers: int, duration: float) -> dict:
    """Let the writers type for `duration` seconds; the row of results."""
    seconds, answers, megabytes = [], Counter(), []
    limits = httpx.Limits(max_connections=num_writers)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        until = time.monotonic() + duration
        writers = [asyncio.create_task(write(client, i, until, seconds, answers)) for i in range(num_writers)]
        for _ in tqdm(range(5), "soak"):
            await asyncio.sleep(duration / 5)
            megabytes.append(resident_megabytes(server_pid))
        await asyncio.gather(*writers)
    quantiles = {f"p{q} ms": round(1e3 * float(np.quantile(seconds, q / 100)), 1) for q in (50, 90, 99)}
    return {"writers": num_writers, "seconds": duration, "answers": dict(answers), **quantiles, "MB": megabytes}


def resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1e3, 1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for(address: str, server: subprocess.Popen) -> None:
    while server.poll() is None:
        try:
            httpx.get(f"{address}/models").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"the page's server ended with status {server.returncode}: see its message above")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=NUM_WRITERS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    arguments = parser.parse_args()
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([sys.executable, "-m", "src.demo", "--port", str(port)])
    try:
        wait_for(address, server)
        row = asyncio.run(soak(address, server.pid, arguments.writers, arguments.seconds))
    finally:
        server.terminate()
        server.wait()
    settings = {"model": MODEL, "seconds_between_letters": SECONDS_BETWEEN_LETTERS, "seed": 0}
    data = {"name": "examples of this project"}
    write_results("soak", data, settings, [row], command="python -m benchmarks.robustness.soak")


if __name__ == "__main__":
    main()
