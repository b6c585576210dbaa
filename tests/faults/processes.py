"""Waiting for what a failpoint does to a process."""

import asyncio

import psutil

from deploy.local.processes import Process


async def exited(process: Process) -> None:
    """Until it has ended."""
    async with asyncio.timeout(60):
        while process.alive:
            await asyncio.sleep(0.02)


async def stopped(process: Process) -> None:
    """Until it has stopped itself."""
    async with asyncio.timeout(60):
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            await asyncio.sleep(0.02)
