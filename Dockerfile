# The one image of all of the service's processes: MCP server, worker, ledger and command line differ in their command and
# their user. `docker build -t proxmox-mcp-server:TAG .` needs a clean checkout and nothing else; docs/deployment.md says more.
#
# The bases are pinned by the digests of their indexes, which hold amd64 and arm64. To renew one: docker pull TAG prints the
# digest that the tag has now; write both here, build, and run the tests.
ARG NODE_IMAGE=node:24.21.0-trixie-slim@sha256:8ec5d7557396cfe32d21c3f9c13072355ceab22b584578ca4bb28af31120cffe
# The same Node with a compiler and Python, for ssh2's native part. Where npm needs a proxy or another CA, give an image made
# of it that knows them: nothing of this stage but what was built gets into the result.
ARG BUILD_IMAGE=node:24.21.0-trixie@sha256:be40f6a87b9b22215ddb20da0a2320a5c6d583fe3ee3b0024d9fa4f05b40c8fd

FROM ${BUILD_IMAGE} AS build
LABEL proxmox-mcp-build=1
WORKDIR /build
# Node's headers are in its image; node-gyp would download them.
ENV npm_config_nodedir=/usr/local
COPY package.json package-lock.json .npmrc ./
RUN npm ci --include=dev --no-audit --no-fund --loglevel=error
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY lab ./lab
COPY src ./src
RUN node scripts/run.mjs build
COPY deploy/image ./deploy/image
# Only what runs stays: no development packages, of Temporal's native part only this platform's, no sources of maps.
RUN npm sbom --omit=dev --sbom-format=cyclonedx >sbom.cdx.json \
 && npm prune --omit=dev --no-audit --no-fund --loglevel=error \
 && node deploy/image/prune.mjs

FROM ${NODE_IMAGE}
# One user for each process, so that each reads only its own secrets; one group for what they share. The programs to install
# packages with and the right to become another user are of no use to them.
RUN printf 'proxmox-mcp:x:10000:\n' >>/etc/group \
 && for user in mcp-server:10001 worker:10002 ledger:10003; do \
      printf '%s:x:%s:10000::/nonexistent:/usr/sbin/nologin\n' "${user%:*}" "${user#*:}" >>/etc/passwd || exit; \
      install -d -o "${user#*:}" -g 10000 -m 0750 "/var/lib/proxmox-mcp/${user%:*}" || exit; \
    done \
 && install -d -o 10001 -g 10000 -m 2750 /var/lib/proxmox-mcp/access \
 && install -d -o 10001 -g 10000 -m 2770 /var/log/proxmox-mcp \
 && install -d /opt/proxmox-mcp /opt/proxmox-mcp/keys /opt/proxmox-mcp/secrets \
 && rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn* /opt/yarn* \
      /usr/local/include/node \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
WORKDIR /app
COPY --from=build /build/package.json /build/sbom.cdx.json ./
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY LICENSE ./
COPY sudoers ./sudoers
COPY deploy/image/healthy.mjs ./
# /app/keys is where the administrator's guide has the keys.
RUN ln -s /app/dist/src/cli.js /usr/local/bin/proxmox-mcp && ln -s /opt/proxmox-mcp/keys /app/keys
ENV NODE_ENV=production PROXMOX_MCP_CONFIG_DIR=/opt/proxmox-mcp NODE_OPTIONS=--enable-source-maps
USER 10001:10000
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 CMD ["node", "/app/healthy.mjs", "mcp-server"]
# SIGTERM ends each of its processes in order; none of them starts children that it doesn't wait for.
STOPSIGNAL SIGTERM
CMD ["proxmox-mcp", "serve"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Proxmox MCP" \
      org.opencontainers.image.description="Durable automation for Proxmox VE hosts" \
      org.opencontainers.image.licenses="GPL-3.0-or-later" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
