import { optional, withDefault } from './key.ts';
import * as types from './value-types.ts';

/** Keys of the deployment with Docker Compose: what is published, and where. Checked here, used by `docker-compose.yml`. */
export const deploymentKeys = {
  MCP_DOMAIN: optional(types.domainName, {
    group: 'Deployment with Docker Compose',
    atStart: true,
    example: 'mcp.example.org',
    what: 'Name under which clients reach the service, of which Caddy has a certificate: of a CA that clients know where ACME_EMAIL is set, else of a CA of its own.',
  }),
  ACME_EMAIL: optional(types.mailAddressOnly, {
    group: 'Deployment with Docker Compose',
    atStart: true,
    example: 'admin@example.org',
    what: "Address that the CA (Let's Encrypt) may write to; with it, Caddy has the certificate of MCP_DOMAIN signed there.",
  }),
  PUBLISH_ADDRESS: withDefault(types.ipAddress, '127.0.0.1', {
    group: 'Deployment with Docker Compose',
    atStart: true,
    example: '192.168.1.10',
    what: "Address of this machine that Caddy's ports are published on; 0.0.0.0 for all of them. The ports of Temporal UI and monitoring stay on loopback.",
  }),
  HTTP_PORT: withDefault(types.port, '80', {
    group: 'Deployment with Docker Compose',
    atStart: true,
    example: '80',
    what: 'Port where Caddy answers http, and sends clients on to https.',
  }),
  HTTPS_PORT: withDefault(types.port, '443', {
    group: 'Deployment with Docker Compose',
    atStart: true,
    example: '443',
    what: 'Port where Caddy answers https.',
  }),
  NETWORK_PREFIX: withDefault(types.networkPrefix, '172.20', {
    group: 'Deployment with Docker Compose',
    atStart: true,
    example: '172.20',
    what: "The first two numbers of the containers' networks (a /16).",
  }),
} as const;
