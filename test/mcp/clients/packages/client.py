"""Lists and calls tools with Python's `mcp`: over HTTP (URL TOKEN) or stdio (--stdio COMMAND...). Prints JSON."""

import asyncio
import json
import sys

import httpx2
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


async def talk(read, write):
    async with ClientSession(read, write) as session:
        await session.initialize()
        tools = await session.list_tools()
        hosts = await session.call_tool("list_hosts", {})
        wrong = await session.call_tool("get_host", {"host": "NO SUCH"})
        dump = lambda result: json.loads(result.model_dump_json(by_alias=True, exclude_none=True))
        print(json.dumps({"tools": [tool.name for tool in tools.tools], "hosts": dump(hosts), "wrong": dump(wrong)}))


async def main():
    if sys.argv[1] == "--stdio":
        async with stdio_client(StdioServerParameters(command=sys.argv[2], args=sys.argv[3:])) as (read, write):
            await talk(read, write)
    else:
        headers = {"Authorization": f"Bearer {sys.argv[2]}"}
        async with httpx2.AsyncClient(headers=headers) as client:
            async with streamable_http_client(sys.argv[1], http_client=client) as streams:
                await talk(streams[0], streams[1])


asyncio.run(main())
