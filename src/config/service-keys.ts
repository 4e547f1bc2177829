import { containerKeys } from './container-keys.ts';
import { deploymentKeys } from './deployment-keys.ts';
import { optional, withDefault } from './key.ts';
import { tracingKeys } from './tracing-keys.ts';
import * as types from './value-types.ts';

/** Keys of the service itself: they stand in `.env` or the environment, never in hosts.yaml. */
export const serviceKeys = {
  LOG_LEVEL: withDefault(types.oneOf('debug', 'info', 'warn', 'error'), 'INFO', {
    group: 'Service',
    atStart: true,
    example: 'INFO',
    what: 'How much is logged: DEBUG, INFO, WARN or ERROR.',
  }),
  DATA_DIR: withDefault(types.path, './data', {
    group: 'Service',
    atStart: true,
    example: '/var/lib/proxmox-mcp',
    what: "Everything the service keeps on this machine: Temporal's database, tokens, known hosts, logs.",
  }),
  ACCESS_DIR: optional(types.path, {
    group: 'Service',
    atStart: true,
    defaultText: 'DATA_DIR',
    example: '/var/lib/proxmox-mcp-access',
    what: 'Who may use the service: the tokens of MCP and the people. A folder of its own where the MCP server, which writes it, and the process that has the ledger, which reads it, have each a DATA_DIR of its own.',
  }),
  DEMO: withDefault(types.flag, 'false', {
    group: 'Service',
    atStart: true,
    defaultText: 'true when nothing is configured, else false',
    example: 'true',
    what: 'Manage a demonstration host inside the data folder and a simulated Proxmox API instead of real hosts.',
  }),

  ENABLE_PROXMOX_API: withDefault(types.flag, 'true', {
    group: 'Features',
    example: 'true',
    what: 'Use the Proxmox API of hosts that have a PROXMOX_HOST.',
  }),
  ENABLE_DANGEROUS_COMMANDS: withDefault(types.flag, 'false', {
    group: 'Features',
    example: 'false',
    what: 'Let commands and API calls of any kind, and the deletion of guests, disks, volumes and backups, be asked for; each needs an approval all the same. Setting it to true counts when `npx proxmox-mcp policy apply` was approved.',
  }),
  ENABLE_SSH: withDefault(types.flag, 'true', {
    group: 'Features',
    example: 'true',
    what: 'Reach hosts that have an SSH_HOST through SSH.',
  }),
  ENABLE_MONITORING: withDefault(types.flag, 'false', {
    group: 'Features',
    atStart: true,
    example: 'false',
    what: 'Run Prometheus, Grafana and Loki beside the service (Docker Compose profile `monitoring`). Without Docker it changes nothing: a Prometheus of yours can ask for the metrics.',
  }),

  MCP_HOST: withDefault(types.address, '127.0.0.1', {
    group: 'MCP server',
    atStart: true,
    example: '127.0.0.1',
    what: 'Address the MCP server listens on. Outside loopback put TLS in front of it and set MCP_PUBLIC_URL.',
  }),
  MCP_PORT: withDefault(types.port, '8080', {
    group: 'MCP server',
    atStart: true,
    example: '8080',
    what: 'Port the MCP server listens on.',
  }),
  MCP_ALLOWED_HOSTS: optional(types.addresses, {
    group: 'MCP server',
    defaultText: "loopback's names and the host of MCP_PUBLIC_URL",
    example: 'mcp.example.org,192.168.1.137',
    what: 'Names accepted in the Host and Origin headers, besides the default ones (protects from DNS rebinding).',
  }),
  MCP_PUBLIC_URL: optional(types.url, {
    group: 'MCP server',
    defaultText: 'https://MCP_DOMAIN where that is set, else http://127.0.0.1:MCP_PORT',
    example: 'https://mcp.example.org',
    what: 'Base URL under which clients reach the MCP server.',
  }),
  TRUSTED_PROXIES: optional(types.networks, {
    group: 'MCP server',
    example: '127.0.0.1,10.0.0.0/24',
    what: "Addresses and networks of the proxies in front: only what they say of a client's address, scheme and host counts (X-Forwarded-For, -Proto, -Host; Forwarded). Without it a proxy is the client.",
  }),

  TEMPORAL_ADDRESS: optional(types.addressAndPort, {
    group: 'Temporal',
    atStart: true,
    example: 'temporal.example.org:7233',
    what: 'Use this Temporal server and start none. Without it the service runs a server of its own.',
  }),
  TEMPORAL_NAMESPACE: withDefault(types.unitName, 'default', {
    group: 'Temporal',
    atStart: true,
    example: 'default',
    what: 'Temporal namespace of the runs and schedules; in Temporal Cloud NAME.ACCOUNT.',
  }),
  TEMPORAL_TLS: optional(types.flag, {
    group: 'Temporal',
    atStart: true,
    defaultText: 'true with another TEMPORAL_TLS_ key, TEMPORAL_API_KEY or an address of Temporal Cloud, else false',
    example: 'true',
    what: 'Reach TEMPORAL_ADDRESS through TLS.',
  }),
  TEMPORAL_TLS_CA_FILE: optional(types.path, {
    group: 'Temporal',
    atStart: true,
    defaultText: "the system's CAs",
    example: '/opt/proxmox-mcp/temporal/ca.pem',
    what: "CA certificates (PEM) that the Temporal server's certificate is checked with.",
  }),
  TEMPORAL_TLS_CERT_FILE: optional(types.path, {
    group: 'Temporal',
    atStart: true,
    example: '/opt/proxmox-mcp/temporal/client.pem',
    what: 'Client certificate (PEM, with what is between it and its CA) that is shown to the Temporal server.',
  }),
  TEMPORAL_TLS_KEY_FILE: optional(types.path, {
    group: 'Temporal',
    atStart: true,
    example: '/opt/proxmox-mcp/temporal/client.key',
    what: 'Private key (PEM, not encrypted, mode 0600) of TEMPORAL_TLS_CERT_FILE.',
  }),
  TEMPORAL_TLS_SERVER_NAME: optional(types.address, {
    group: 'Temporal',
    atStart: true,
    defaultText: 'the host of TEMPORAL_ADDRESS',
    example: 'temporal.example.org',
    what: "Name that the Temporal server's certificate must be for.",
  }),
  TEMPORAL_API_KEY: optional(types.bearer, {
    group: 'Temporal',
    example: '',
    secret: true,
    what: 'API key for the Temporal server, as Temporal Cloud gives it. From a file it is read again when the file changes.',
  }),
  TEMPORAL_BINARY: optional(types.path, {
    group: 'Temporal',
    atStart: true,
    defaultText: "found on PATH or in the project's cache, else downloaded or built",
    example: '/usr/local/bin/temporal',
    what: 'The Temporal CLI whose server is started.',
  }),
  TEMPORAL_PORT: withDefault(types.port, '7233', {
    group: 'Temporal',
    atStart: true,
    example: '7233',
    what: 'gRPC port of the Temporal server that the service starts.',
  }),
  TEMPORAL_UI_PORT: withDefault(types.port, '8233', {
    group: 'Temporal',
    atStart: true,
    example: '8233',
    what: 'Port of the Temporal UI that the service starts.',
  }),
  TEMPORAL_UI_URL: optional(types.url, {
    group: 'Temporal',
    defaultText: 'http://127.0.0.1:TEMPORAL_UI_PORT',
    example: 'https://temporal.example.org',
    what: 'Base URL of the Temporal UI in links; in mails only where it is none of loopback.',
  }),

  WORKER_METRICS_PORT: withDefault(types.port, '9464', {
    group: 'Worker',
    atStart: true,
    example: '9464',
    what: "Port of the worker's Prometheus metrics.",
  }),
  WORKER_METRICS_HOST: withDefault(types.address, '127.0.0.1', {
    group: 'Worker',
    atStart: true,
    example: '127.0.0.1',
    what: "Address that the worker's Prometheus metrics are served on. They hold no secret, but nobody is asked who they are.",
  }),
  WORKER_HOSTS: optional(types.hostNames, {
    group: 'Worker',
    defaultText: 'all',
    example: 'pve1,pve2',
    what: 'The hosts that this worker serves, all of a cluster or none: only their keys and tokens have to be on its machine. The others stand in its hosts.yaml all the same.',
  }),
  WORKER_LEDGER: withDefault(types.oneOf('auto', 'only', 'never'), 'auto', {
    group: 'Worker',
    atStart: true,
    example: 'auto',
    what: "Who has the ledger, and with it policy, people and approvals: `auto`: this worker, unless another one has it open; `only`: this worker, which does nothing else; `never`: another one, on DATA_DIR's folder of its own.",
  }),
  WORKER_VERSIONING: withDefault(types.flag, 'false', {
    group: 'Worker',
    atStart: true,
    example: 'true',
    what: "Work under Temporal's worker versioning: a run ends on the build of the worker that it began on, and a new build gets runs when it is promoted (`workers promote`), or nobody of the former one is left. For several workers that are upgraded while runs go on.",
  }),
  WORKER_BUILD_ID: optional(types.imageTag, {
    group: 'Worker',
    atStart: true,
    defaultText: "the version and a digest of the worker's workflows",
    example: '0.2.0-mine',
    what: 'What the worker calls its build under WORKER_VERSIONING. Two builds whose workflows differ may never have the same.',
  }),
  WORKER_ACTIVITIES_PER_HOST: withDefault(types.whole(1, 100), '5', {
    group: 'Worker',
    example: '5',
    what: 'How many activities run on one host at the same time.',
  }),

  ...tracingKeys,

  SMTP_HOST: optional(types.address, {
    group: 'Mail and chat',
    example: 'smtp.example.org',
    what: 'Mail server for reports and alerts. Without it nothing is mailed.',
  }),
  SMTP_PORT: optional(types.port, {
    group: 'Mail and chat',
    defaultText: '587, 465 or 25, by SMTP_SECURITY (starttls, tls, none)',
    example: '587',
    what: 'Port of the mail server.',
  }),
  SMTP_SECURITY: withDefault(types.oneOf('starttls', 'tls', 'none'), 'starttls', {
    group: 'Mail and chat',
    example: 'starttls',
    what: '`tls` from the first byte, `starttls` required, or `none` (only to this machine).',
  }),
  SMTP_USER: optional(types.text, {
    group: 'Mail and chat',
    example: 'proxmox-mcp@example.org',
    what: 'User name at the mail server.',
  }),
  SMTP_PASSWORD: optional(types.password, {
    group: 'Mail and chat',
    example: '',
    secret: true,
    neededBy: ['worker'],
    what: 'Password at the mail server.',
  }),
  MAIL_FROM: optional(types.mailFrom, {
    group: 'Mail and chat',
    defaultText: 'the first address of MAIL_TO',
    example: 'Proxmox MCP <proxmox-mcp@example.org>',
    what: 'Sender of mails.',
  }),
  MAIL_TO: optional(types.mailTo, {
    group: 'Mail and chat',
    example: 'admin@example.org',
    what: 'The administrators: who gets reports and alerts.',
  }),
  SLACK_WEBHOOK_URL: optional(types.webhook, {
    group: 'Mail and chat',
    example: '',
    secret: true,
    neededBy: ['worker'],
    what: 'Incoming webhook of a Slack channel that is told of what goes wrong; contacts of `policy.yaml` name it.',
  }),
  DISCORD_WEBHOOK_URL: optional(types.webhook, {
    group: 'Mail and chat',
    example: '',
    secret: true,
    neededBy: ['worker'],
    what: 'Webhook of a Discord channel that is told of what goes wrong; contacts of `policy.yaml` name it.',
  }),
  ONCALL_WEBHOOK_URL: optional(types.webhook, {
    group: 'Mail and chat',
    example: '',
    secret: true,
    neededBy: ['worker'],
    what: 'Webhook that pages who is on call: it gets `{ "text": … }`; contacts of `policy.yaml` name it.',
  }),

  COPIES_DIR: optional(types.path, {
    group: 'Copies of backups',
    defaultText: 'DATA_DIR/copies',
    example: '/mnt/nas/proxmox-mcp-copies',
    what: "Where the encrypted copies of the hosts' backups lie on the machine of the worker. With several workers: a folder that all of them share.",
  }),
  BACKUP_IDENTITY_FILE: optional(types.path, {
    group: 'Copies of backups',
    example: './keys/copies-identity.txt',
    what: "An identity of `age` that the service has itself, mode 0600: with it the weekly check decrypts copies and compares what they hold. Who gets the service's files can then read the copies, too (docs/copies.md).",
  }),
  SERVICE_BACKUP_RECIPIENTS: optional(types.recipients, {
    group: 'Copies of backups',
    example: '/etc/proxmox-mcp/service-recipients.txt',
    what: 'Who can decrypt the archives of the service itself (`back-up-service`): public keys of `age`, or files of them. Who can holds the keys of every host and all tokens, so they are named apart from `BACKUP_RECIPIENTS`. Without it the archives are not encrypted (docs/restored.md).',
  }),
  BACKUP_REMOTES: optional(types.remotes, {
    group: 'Copies of backups',
    example: 'rclone:offsite:proxmox,restic:/mnt/nas/restic',
    what: 'Further places for the encrypted copies, by the programs `rclone` or `restic` of the worker. Their own files hold what they sign in with (docs/copies.md).',
  }),

  IMAGE_TAG: withDefault(types.imageTag, 'latest', {
    group: 'Containers and monitoring',
    atStart: true,
    example: '0.1.0',
    what: 'Tag of the image proxmox-mcp-server that Docker Compose runs.',
  }),
  GRAFANA_PASSWORD: optional(types.password, {
    group: 'Containers and monitoring',
    atStart: true,
    example: '',
    secret: true,
    neededBy: [],
    what: "Password of Grafana's administrator; required with ENABLE_MONITORING=true. Grafana takes it at its first start; docs/monitoring.md says how a later one is applied.",
  }),
  ...deploymentKeys,
  ...containerKeys,
} as const;
