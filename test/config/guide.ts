export const token = '3f2a9c1e-0000-4000-8000-5e1ec7edcafe';

/** The administrator's guide's own `.env`, comments included, with a real token. */
export const guide = `# Container Configuration
IMAGE_TAG=latest                     # Container image version
LOG_LEVEL=INFO                       # Logging verbosity (DEBUG, INFO, WARN, ERROR)

# SSH Configuration
SSH_TARGET=proxmox                   # SSH target type
SSH_HOST=192.168.1.137              # Proxmox server IP
SSH_USER=claude-user                 # SSH username
SSH_PORT=22                          # SSH port
SSH_KEY_PATH=/app/keys/claude_proxmox_key  # SSH private key path

PROXMOX_HOST=192.168.1.137          # Proxmox API host
PROXMOX_USER=root@pam               # Proxmox API user
PROXMOX_TOKEN_NAME=claude-mcp       # API token name
PROXMOX_TOKEN_VALUE=${token}        # API token value
PROXMOX_VERIFY_SSL=false            # SSL verification
PROXMOX_FINGERPRINT=${'ab'.repeat(32)}

ENABLE_PROXMOX_API=true             # Enable Proxmox API features
ENABLE_DANGEROUS_COMMANDS=false     # Allow dangerous commands
ENABLE_LOCAL_EXECUTION=false        # Enable local command execution
ENABLE_SSH=true                     # Enable SSH connectivity

MCP_HOST=0.0.0.0                    # Bind address
MCP_PORT=8080                       # Listen port

ENABLE_MONITORING=false             # Enable Prometheus/Grafana
GRAFANA_PASSWORD=admin              # Grafana admin password
`;
