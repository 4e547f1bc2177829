# In place of node:24-trixie, which has a compiler.
ARG SUFFIX
FROM proxmox-mcp-lab-node:${SUFFIX}
ADD layer.tar /
