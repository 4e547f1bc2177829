# In place of node:24-trixie-slim.
ARG SUFFIX
FROM proxmox-mcp-lab-base:${SUFFIX}
ADD layer.tar /
CMD ["node"]
