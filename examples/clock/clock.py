"""Writes the time and the place, every two seconds, until it is told to stop."""
import os
import time

while True:
    now = time.strftime("%H:%M:%S")
    print(f"{os.environ['GREETING']}, it is {now}. This is {os.environ['TENDRIL_INSTANCE']}.", flush=True)
    time.sleep(2)
